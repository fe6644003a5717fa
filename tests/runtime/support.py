"""Starts the programs that the build made; FLASH_MLA_PROBES is their folder, FLASH_MLA_COMMAND the command."""

import json
import os
import pathlib
import subprocess

PROBES = pathlib.Path(os.environ["FLASH_MLA_PROBES"])
COMMAND = os.environ["FLASH_MLA_COMMAND"]


def run(program, *arguments, **options):
    words = [word if isinstance(word, bytes) else str(word) for word in (program, *arguments)]
    return subprocess.run(words, capture_output=True, timeout=300, check=False, **options)


def run_probe(name, *arguments):
    result = run(PROBES / name, *arguments)
    assert result.returncode == 0, result.stderr.decode()
    return result.stdout.decode()


def fails(name, *arguments, names):
    """The message of a probe that refuses its input, which has to name the file."""
    result = run(PROBES / name, *arguments)
    assert result.returncode == 2, result.stdout.decode()[:300]
    message = result.stderr.decode()
    assert str(names) in message, message
    return message


def ask(folder, question):
    """What runtime_probe answers."""
    path = pathlib.Path(folder) / "question.json"
    path.write_text(json.dumps(question))
    return json.loads(run_probe("runtime_probe", path))


def refusal(folder, question, names):
    path = pathlib.Path(folder) / "question.json"
    path.write_text(json.dumps(question))
    return fails("runtime_probe", path, names=names)
