"""Writes models with random weights: models.py NAME FOLDER. Run by an interpreter that has transformers."""

import sys

import torch
import transformers

COMMON = {"vocab_size": 8192, "hidden_size": 2048, "tie_word_embeddings": False, "bos_token_id": None, "eos_token_id": None,
          "max_position_embeddings": 65536}


def llama():
    """Llama 3.2's 1B layers, 8 of them: 1 GB of bfloat16, of which a token reads all but the embedding."""
    return transformers.LlamaForCausalLM, transformers.LlamaConfig(
        **COMMON, intermediate_size=8192, num_hidden_layers=8, num_attention_heads=32, num_key_value_heads=8, head_dim=64)


def deepseek(layers):
    """DeepSeek-V2-Lite's first layers, with its head count, ranks and experts, and a small vocabulary."""
    return transformers.DeepseekV2ForCausalLM, transformers.DeepseekV2Config(
        **COMMON, intermediate_size=10944, moe_intermediate_size=1408, num_hidden_layers=layers, num_attention_heads=16,
        num_key_value_heads=16, q_lora_rank=None, kv_lora_rank=512, qk_nope_head_dim=128, qk_rope_head_dim=64, v_head_dim=128,
        n_routed_experts=64, n_shared_experts=2, num_experts_per_tok=6, first_k_dense_replace=1, topk_method="greedy",
        n_group=1, topk_group=1, routed_scaling_factor=1.0, norm_topk_prob=False)


def main():
    name, folder = sys.argv[1:]
    kind, config = llama() if name == "llama" else deepseek(int(name.removeprefix("deepseek")))
    torch.set_default_dtype(torch.bfloat16)
    torch.manual_seed(1)
    kind(config).save_pretrained(folder)


main()
