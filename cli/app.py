"""The commands and their help. What a command does is in a module of its own, loaded when the command runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from .failures import ExitCode, report

if TYPE_CHECKING:
    from collections.abc import Sequence

Show = Literal["waterfall", "record", "none"]
PlanFormat = Literal["text", "json", "mermaid"]
Order = Literal["completed", "given"]


def _examples(*lines: str) -> str:
    """`\b` keeps the lines as they are."""
    return "\n".join(["\b", "Examples:", *(f"  {line}" for line in lines)])


app = typer.Typer(
    name="glassway",
    help="The LLM gateway that you can see through.",
    epilog=_examples(
        "glassway demo                      a tour of a full stack, nothing leaves this machine",
        "glassway chat 'What is 2+2?'       ask the first vendor whose key is in the environment",
        "glassway check glassway.yaml       every problem of a configuration, with its path",
    )
    + "\n\nExit codes: 0 done, 1 a call or a check failed, 2 usage or configuration, 130 interrupted.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@dataclass(slots=True)
class _Asked:
    """What was asked of all commands."""

    debug: bool = False


def run(arguments: Sequence[str]) -> int:
    """Run a command line; returns its exit code, or raises `SystemExit` with it.

    Errors of ours end in one line that says the next step; `--debug` shows the traceback.
    """
    asked = _Asked()
    try:
        app(args=list(arguments), prog_name="glassway", obj=asked)
    except Exception as error:
        code = None if asked.debug else report(error)
        if code is None:
            raise
        return code
    return ExitCode.DONE


def _version(asked: bool) -> None:
    if asked:
        from .. import __version__

        typer.echo(f"glassway {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    ctx: typer.Context,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
    version: Annotated[  # noqa: ARG001 - acts when it is read
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    ctx.ensure_object(_Asked).debug = debug


@app.command(
    short_help="A tour of a full stack at work.",
    epilog=_examples(
        "glassway demo --fast               without waiting",
        "glassway demo --call fallback      one scenario",
        "glassway demo --json | jq .cost_usd",
    ),
)
def demo(
    call: Annotated[
        list[str] | None, typer.Option("--call", metavar="NAME", help="Only this scenario; repeatable.")
    ] = None,
    fast: Annotated[bool, typer.Option("--fast", help="The vendor answers at once, and nobody pauses.")] = False,
    seed: Annotated[int, typer.Option("--seed", help="Another seed gives other answers.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="The calls' records as JSON lines.")] = False,
    only_list: Annotated[bool, typer.Option("--list", help="List the scenarios and exit.")] = False,
) -> None:
    """See a full stack at work: retries, a fallback, a cache hit, a redacted secret, a cut stream.

    The embedded vendor answers over HTTP on this machine. No key is needed and nothing leaves it.
    """
    from . import demo as command

    if only_list:
        command.list_scenarios()
    elif not command.demo(fast=fast, seed=seed, as_json=as_json, only=call or []).agree:
        raise typer.Exit(ExitCode.FAILED)


@app.command(
    short_help="Ask one question.",
    epilog=_examples(
        "glassway chat 'What is the capital of France?'",
        "glassway chat -m anthropic/claude-haiku-4-5 -s 'Answer in French.' 'Good morning'",
        "git diff | glassway chat - --show record",
    ),
)
def chat(
    prompt: Annotated[str, typer.Argument(help="What to ask; `-` reads standard input.")],
    model: Annotated[str | None, typer.Option("--model", "-m", metavar="VENDOR/MODEL", help="Whom to ask.")] = None,
    system: Annotated[str | None, typer.Option("--system", "-s", help="A system prompt.")] = None,
    config: Annotated[
        Path | None,
        typer.Option("--config", "-c", metavar="FILE", help="A YAML configuration instead of the usual stack."),
    ] = None,
    stream: Annotated[bool, typer.Option("--stream/--no-stream", help="Print the answer as it comes.")] = True,
    show: Annotated[
        Show | None, typer.Option("--show", help="What else, on standard error: waterfall on a terminal, else none.")
    ] = None,
) -> None:
    """Ask one question. The answer goes to standard output, everything else to standard error.

    Without a model, the first vendor whose key is in the environment is asked; without any key, the embedded one.
    """
    from . import chat as command

    command.chat(prompt, model=model, system=system, config=config, stream=stream, show=show)


@app.command(
    short_help="What a stack does, or would do to a call.",
    epilog=_examples(
        "glassway explain                                        the usual stack",
        "glassway explain glassway.yaml --format mermaid",
        "glassway explain glassway.yaml -m fast --prompt 'Hi'    what would happen to this call",
    ),
)
def explain(
    config: Annotated[Path | None, typer.Argument(help="A YAML configuration; without one, the usual stack.")] = None,
    prompt: Annotated[str | None, typer.Option("--prompt", help="Dry-run this prompt.")] = None,
    model: Annotated[
        str | None, typer.Option("--model", "-m", metavar="VENDOR/MODEL", help="Dry-run a call to it.")
    ] = None,
    form: Annotated[PlanFormat, typer.Option("--format", help="How to write the plan.")] = "text",
) -> None:
    """Say what a stack does, stage by stage; or, with a prompt, what it would do to a call.

    A dry run passes through the real stages and sends, stores and bills nothing.
    """
    from . import explain as command

    command.explain(config, prompt=prompt, model=model, form=form)


@app.command(
    short_help="Everything wrong with a configuration.",
    epilog=_examples("glassway check glassway.yaml", "glassway check glassway.yaml && glassway explain glassway.yaml"),
)
def check(config: Annotated[Path, typer.Argument(help="A YAML configuration.")]) -> None:
    """Say everything that is wrong with a configuration, each with its path. Exits with 1 if anything is."""
    from . import check as command

    if not command.check(config):
        raise typer.Exit(ExitCode.FAILED)


@app.command(
    short_help="The vendors, or what one of them serves.",
    epilog=_examples(
        "glassway models                     vendors, their keys and usual models",
        "glassway models --provider ollama   what this one serves now",
    ),
)
def models(
    provider: Annotated[str | None, typer.Option("--provider", "-p", help="Ask this vendor what it serves.")] = None,
) -> None:
    """List the vendors, or the models that one of them serves."""
    from . import models as command

    command.models(provider)


@app.command(
    short_help="What models cost, and who says so.",
    epilog=_examples("glassway prices", "glassway prices openai/gpt-4o-mini anthropic/claude-haiku-4-5"),
)
def prices(
    model: Annotated[
        list[str] | None, typer.Argument(metavar="[VENDOR/MODEL]...", help="Which; the vendors' usual ones, if none.")
    ] = None,
) -> None:
    """Show what models cost, in US dollars per million tokens, and where the price is from."""
    from . import prices as command

    command.prices(model or [])


@app.command(
    short_help="What calls cost, from the ledger.",
    epilog=_examples(
        "glassway costs                                       by model, from ./glassway-ledger.db",
        "glassway costs --by tenant --by day --since 7d",
        "glassway costs --ledger postgresql://... --since 2026-11-01 --tenant acme",
        "glassway costs --since 30d --export calls.parquet    the calls themselves: .csv, .jsonl, .parquet",
    ),
)
def costs(
    ledger: Annotated[
        str,
        typer.Option(
            "--ledger",
            metavar="FILE|URL",
            envvar="GLASSWAY_LEDGER",
            help="A file, or postgresql://...",
            show_envvar=True,
        ),
    ] = "glassway-ledger.db",
    by: Annotated[
        list[str] | None, typer.Option("--by", metavar="GROUP", help="model, tenant, tag, day ...; repeatable.")
    ] = None,
    since: Annotated[
        str | None, typer.Option("--since", metavar="WHEN", help="7d, 12h, 30m; or a day or time, in UTC.")
    ] = None,
    until: Annotated[str | None, typer.Option("--until", metavar="WHEN", help="As --since; not included.")] = None,
    tenant: Annotated[str | None, typer.Option("--tenant", help="Only this tenant's.")] = None,
    model: Annotated[str | None, typer.Option("--model", "-m", help="Only this model's.")] = None,
    provider: Annotated[str | None, typer.Option("--provider", "-p", help="Only this provider's.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    export: Annotated[
        Path | None, typer.Option("--export", metavar="FILE", help="Write the calls to this file instead.")
    ] = None,
) -> None:
    """Say what was spent, wasted and saved, exactly, by model or by whatever else calls have in common.

    Calls of unknown price are counted beside, and never as free.
    """
    from . import costs as command

    asked = command.asked_for(since=since, until=until, tenant=tenant, model=model, provider=provider)
    if export is not None:
        command.export_calls(ledger, asked, export)
    else:
        command.costs(ledger, asked, by or ["model"], as_json=as_json)


@app.command(
    short_help="Recorded calls through another stack.",
    epilog=_examples(
        "glassway replay calls.jsonl                                  the usual stack, the cassette as the vendor",
        "glassway replay calls.jsonl -c new.yaml --fail-on-difference  for continuous integration",
        "glassway replay calls.jsonl -c new.yaml --live --content     ask the real providers, show what they say otherwise",
        "glassway replay calls.jsonl --speed 0.1 --json | jq .totals",
    ),
)
def replay(
    cassette: Annotated[Path, typer.Argument(help="What `Record` wrote: a file or a folder.")],
    config: Annotated[
        Path | None, typer.Option("--config", "-c", metavar="FILE", help="A YAML configuration; else the usual stack.")
    ] = None,
    speed: Annotated[
        float, typer.Option("--speed", min=0, help="Recorded waits times this: 0 none, 1 as they were.")
    ] = 0.0,
    live: Annotated[bool, typer.Option("--live", help="Ask the configuration's real providers. Costs money.")] = False,
    model: Annotated[
        str | None, typer.Option("--model", "-m", metavar="VENDOR/MODEL", help="Ask this one instead.")
    ] = None,
    content: Annotated[bool, typer.Option("--content", help="Show how texts differ; else only their sizes.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    fail_on_difference: Annotated[
        bool, typer.Option("--fail-on-difference", help="Exit with 1 if an answer differs.")
    ] = False,
) -> None:
    """Ask a cassette's calls again, through another configuration, and say what differs: answers, cost, time, decisions.

    The cassette stands in for the vendor and nothing is sent, unless --live is given.
    """
    from . import replay as command

    totals = command.replay(
        cassette, config=config, speed=speed, live=live, model=model, content=content, as_json=as_json
    )
    if fail_on_difference and totals.different:
        raise typer.Exit(ExitCode.FAILED)


@app.command(
    short_help="Many requests from a file, their results into another.",
    epilog=_examples(
        "glassway batch requests.jsonl                       results into requests.results.jsonl",
        "glassway batch requests.jsonl -o out.jsonl -c stack.yaml --concurrency 32",
        "glassway batch requests.jsonl -m openai/gpt-4o-mini --order given",
        """A line: {"custom_id": "1", "url": "/v1/chat/completions", "body": {"model": ..., "messages": [...]}}""",
    ),
)
def batch(
    requests: Annotated[Path, typer.Argument(help="JSON lines, one request each, in OpenAI's batch format.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Where results go, a line each.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option("--config", "-c", metavar="FILE", help="A YAML configuration; else the usual stack.")
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", "-m", metavar="VENDOR/MODEL", help="For requests that name none.")
    ] = None,
    concurrency: Annotated[int, typer.Option("--concurrency", min=1, help="Requests under way at once.")] = 16,
    order: Annotated[
        Order, typer.Option("--order", help="Lines of the output as they come, or in the order of the requests.")
    ] = "completed",
    resume: Annotated[
        bool,
        typer.Option(
            "--resume/--no-resume", help="Go on where an earlier run ended, or refuse an output that is there."
        ),
    ] = True,
    max_failures: Annotated[
        int | None, typer.Option("--max-failures", min=1, help="Begin no further request after so many failures.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress on the screen.")] = False,
) -> None:
    """Send many requests through a stack, and write a line for each result. Every line is checked before the first is sent.

    Limits hold: when a vendor or a stage asks to wait, all requests wait. After Ctrl-C, a kill or failures the same command goes on
    with what has no answer yet. Exits with 1 if a request has none at the end.
    """
    from . import batch as command

    if not command.batch(
        requests,
        output or requests.with_suffix(".results.jsonl"),
        config=config,
        model=model,
        concurrency=concurrency,
        order=order,
        resume=resume,
        max_failures=max_failures,
        quiet=quiet,
    ):
        raise typer.Exit(ExitCode.FAILED)
