"""Small models with random weights, written by transformers."""

import pathlib

import torch
import transformers

YARN = {
    "rope_type": "yarn", "rope_theta": 10000.0, "factor": 8.0, "original_max_position_embeddings": 64,
    "mscale": 0.707, "mscale_all_dim": 1.0, "beta_fast": 32, "beta_slow": 1,
}
LLAMA3 = {
    "rope_type": "llama3", "rope_theta": 10000.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
COMMON = {"vocab_size": 300, "hidden_size": 64, "intermediate_size": 96, "num_attention_heads": 4,
          "max_position_embeddings": 512, "initializer_range": 0.2, "bos_token_id": None, "eos_token_id": None}
LATENT = {**COMMON, "num_hidden_layers": 3, "num_key_value_heads": 4, "first_k_dense_replace": 1,
          "n_shared_experts": 1, "n_routed_experts": 8, "num_experts_per_tok": 3, "moe_intermediate_size": 32,
          "kv_lora_rank": 32, "q_lora_rank": 24, "qk_rope_head_dim": 8, "qk_nope_head_dim": 16, "v_head_dim": 24}
GROUPS = {"n_group": 4, "topk_group": 2}
HEADS = {**COMMON, "num_hidden_layers": 3, "num_key_value_heads": 2}

# name: (config class, model class, settings)
MODELS = {
    "deepseek_v3": ("DeepseekV3", "ForCausalLM", {**LATENT, **GROUPS, "rope_parameters": YARN}),
    # Without a choice of experts, which a rounding may tip.
    "deepseek_v3_all_experts": ("DeepseekV3", "ForCausalLM",
                                {**LATENT, "n_group": 1, "topk_group": 1, "num_experts_per_tok": 8, "rope_parameters": YARN}),
    "deepseek_v3_no_q_lora": ("DeepseekV3", "ForCausalLM",
                              {**LATENT, **GROUPS, "q_lora_rank": None, "norm_topk_prob": False, "attention_bias": True,
                               "tie_word_embeddings": True}),
    "deepseek_v2": ("DeepseekV2", "ForCausalLM", {**LATENT, "q_lora_rank": None, "rope_parameters": YARN}),
    "deepseek_v2_groups": ("DeepseekV2", "ForCausalLM",
                           {**LATENT, **GROUPS, "topk_method": "group_limited_greedy", "routed_scaling_factor": 2.0}),
    "llama": ("Llama", "ForCausalLM", {**HEADS, "intermediate_size": 99, "rope_parameters": LLAMA3}),
    "llama_bias": ("Llama", "ForCausalLM",
                   {**HEADS, "attention_bias": True, "mlp_bias": True, "tie_word_embeddings": True,
                    "rope_parameters": {"rope_type": "linear", "rope_theta": 5000.0, "factor": 2.0}}),
    "qwen2": ("Qwen2", "ForCausalLM", HEADS),
    "qwen2_window": ("Qwen2", "ForCausalLM",
                     {**HEADS, "use_sliding_window": True, "sliding_window": 24, "max_window_layers": 1}),
    "qwen2_all_windows": ("Qwen2", "ForCausalLM",
                          {**HEADS, "use_sliding_window": True, "sliding_window": 24, "max_window_layers": 0}),
    "qwen3": ("Qwen3", "ForCausalLM", {**HEADS, "head_dim": 32}),
    "gpt2": ("GPT2", "LMHeadModel", {"vocab_size": 300, "n_embd": 64, "n_layer": 3, "n_head": 4, "n_positions": 512,
                                     "initializer_range": 0.4, "bos_token_id": None, "eos_token_id": None}),
}

# So that greedy answers do not repeat themselves.
SEEDS = {"qwen3": 2, "gpt2": 8}


def build(family, kind, settings, seed):
    """A model with random weights. Norms, biases and the routers' corrections are random too: what is one or zero at
    first would hide that it is left out."""
    config = getattr(transformers, family + "Config")(**settings)
    torch.manual_seed(seed)
    model = getattr(transformers, family + kind)(config).eval()
    with torch.no_grad():
        for key, value in list(model.named_parameters()) + list(model.named_buffers()):
            if value.dim() == 1 and ("norm" in key or "ln_" in key) and key.endswith("weight"):
                value.uniform_(0.7, 1.3)
            elif key.endswith("bias"):
                value.uniform_(-0.3, 0.3)
    return model


def write(name, folder, dtype=torch.float32, shard_size=None):
    """Writes a model to a folder and returns it."""
    family, kind, settings = MODELS[name]
    model = build(family, kind, settings, sum(name.encode()) + SEEDS.get(name, 0)).to(dtype)
    sharding = {} if shard_size is None else {"max_shard_size": shard_size}
    model.save_pretrained(pathlib.Path(folder), **sharding)
    return model
