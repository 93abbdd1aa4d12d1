"""`seqgpt-lab serve` and `seqgpt-lab studio`: the extractor over HTTP, for programs and for people; knows no endpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from seqgpt_lab.apps.console import note
from seqgpt_lab.apps.options import (
    USUAL_TOKEN_BUDGET,
    Attention,
    Device,
    Dtype,
    Grounded,
    MaxNewTokens,
    Model,
    ModelOptions,
    Replicas,
    TensorParallel,
    TokenBudget,
)
from seqgpt_lab.errors import OptionError

Host = Annotated[str, typer.Option("--host", help="127.0.0.1 for this machine only; any other address needs a token.")]
Port = Annotated[int, typer.Option("--port", min=1, max=65535)]
TokenFile = Annotated[Path | None, typer.Option("--token-file", metavar="FILE", help="Holds the token that requests must bring.")]
# The names with underscores are those of the article that describes how SeqGPT is deployed.
MaxLength = Annotated[int, typer.Option("--max-length", "--max_length", min=16, help="Most tokens of a prompt.")]
BatchSize = Annotated[int, typer.Option("--batch-size", "--batch_size", min=1, help="Most prompts decoded together.")]
Queue = Annotated[
    int,
    typer.Option(
        "--queue",
        min=1,
        help="Most prompts that wait; a request of more is refused, one that finds no room is told when to come back.",
    ),
]
# A day at most: what ends the server waits as long, and neither clocks nor a wait for a thread can be told of infinity.
Seconds = Annotated[
    float, typer.Option("--timeout", min=0.1, max=86_400, help="Seconds a request may take, preparing and waiting included.")
]
HalfPrecision = Annotated[bool, typer.Option("--fp16", help="The same as --dtype fp16.")]
Flash = Annotated[bool, typer.Option("--use-flash-attention", "--use_flash_attention", help="The same as --attention flash.")]


_STUDIO_SECONDS = 300.0


def serve(
    host: Host = "127.0.0.1",
    port: Port = 8000,
    token_file: TokenFile = None,
    queue: Queue = 1024,
    timeout: Seconds = 60.0,
    model: Model = "tiny",
    dtype: Dtype = "auto",
    fp16: HalfPrecision = False,
    device: Device = "auto",
    attention: Attention = "auto",
    use_flash_attention: Flash = False,
    batch_size: BatchSize = 32,
    token_budget: TokenBudget = USUAL_TOKEN_BUDGET,
    max_length: MaxLength = 1024,
    max_new_tokens: MaxNewTokens = 256,
    tensor_parallel: TensorParallel = 1,
    replicas: Replicas = 1,
    grounded: Grounded = False,
) -> None:
    """Answer over HTTP: POST /extract, /extract/batch and /classify, GET /health, /metrics and /openapi.json.

    curl -H 'content-type: application/json' -d '{"text": "张伟，35岁", "labels": "姓名,年龄"}' http://127.0.0.1:8000/extract

    Requests that come together are decoded together. SIGTERM and SIGHUP end it when all that was accepted is answered. No text is logged.
    """
    from seqgpt_lab.apps.serving.batcher import Batcher
    from seqgpt_lab.apps.serving.guard import Guard, Limits, check_address, local_names
    from seqgpt_lab.apps.serving.metrics import Metrics
    from seqgpt_lab.apps.serving.running import read_token, run_server
    from seqgpt_lab.apps.serving.server import PATHS, Service, create_app

    token = read_token(token_file)
    check_address(host, token)
    options = ModelOptions(
        model,
        _same("--fp16", fp16, "--dtype", dtype, "fp16"),
        device,
        _same("--use-flash-attention", use_flash_attention, "--attention", attention, "flash"),
        batch_size,
        max_length,
        max_new_tokens,
        tensor_parallel,
        replicas,
        grounded,
        token_budget,
    )
    metrics = Metrics(PATHS)
    with options.load() as (engine, extractor):
        batcher = Batcher(engine, capacity=queue, observe=metrics.decoded)
        try:
            app = create_app(Service(extractor, batcher, timeout), metrics)
            note(f"{model} listens on http://{host}:{port}")
            run_server(Guard(app, Limits(token, local_names(host)), metrics.answered), host, port, timeout)
        finally:
            batcher.close()


def _same(flag: str, given: bool, option: str, value: str, meant: str) -> str:
    """The value of an option that a flag may stand for. Raises OptionError where they contradict each other."""
    if given and value not in ("auto", meant):
        raise OptionError(f"{flag} and {option} {value} contradict each other; give one of them")
    return meant if given else value


def studio(
    host: Host = "127.0.0.1",
    port: Port = 8501,
    token_file: TokenFile = None,
    queue: Queue = 4096,
    model: Model = "tiny",
    dtype: Dtype = "auto",
    device: Device = "auto",
    attention: Attention = "auto",
    batch_size: BatchSize = 32,
    token_budget: TokenBudget = USUAL_TOKEN_BUDGET,
    max_length: MaxLength = 1024,
    max_new_tokens: MaxNewTokens = 256,
    grounded: Grounded = False,
) -> None:
    """Design labels on a page: open http://127.0.0.1:8501. All visitors share one model; each has a session of his own."""
    from seqgpt_lab.apps.designer.samples import sample_collections
    from seqgpt_lab.apps.serving.batcher import Batcher
    from seqgpt_lab.apps.serving.guard import Guard, Limits, check_address, local_names
    from seqgpt_lab.apps.serving.running import read_token, run_server
    from seqgpt_lab.apps.serving.studio import OPEN_PATHS, SharedExtractor, create_studio

    token = read_token(token_file)
    check_address(host, token)
    options = ModelOptions(
        model, dtype, device, attention, batch_size, max_length, max_new_tokens, grounded=grounded, token_budget=token_budget
    )
    with options.load() as (engine, extractor):
        batcher = Batcher(engine, capacity=queue)
        try:
            app = create_studio(SharedExtractor(extractor, batcher, _STUDIO_SECONDS), sample_collections())
            note(f"open http://{host}:{port} ({model})")
            run_server(Guard(app, Limits(token, local_names(host), open_paths=OPEN_PATHS)), host, port, _STUDIO_SECONDS)
        finally:
            batcher.close()
