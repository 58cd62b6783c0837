"""`setlist image`: build the image of all steps, push it, and name it by its digest."""

from typing import Annotated

import typer

from setlist.errors import ClusterError
from setlist_pipelines.cli.help_page import Commands, examples

image = Commands(
    help="The image of all steps. What `setlist submit` is told is its digest, not its tag.",
    epilog=examples("setlist image build registry.example/team/setlist:1"),
)

Name = Annotated[str, typer.Argument(help="registry/name:tag")]
Base = Annotated[
    str, typer.Option(help="A Python base in place of the pinned one, e.g. a company's own.")
]
Platform = Annotated[
    str,
    typer.Option(help="E.g. linux/amd64,linux/arm64; needs docker's buildx."),
]


@image.command(
    epilog=examples(
        "setlist image build",
        "setlist image build registry.example/team/setlist:1 --platform linux/amd64",
    )
)
def build(name: Name = "setlist:latest", base: Base = "", platform: Platform = "") -> None:
    """Build the image from this clone, labelled with its version and commit.

    Without --platform for this machine, with any engine. With one platform, the image of that
    platform is put into the engine. With several they are built only, to see that it can be done:
    an engine holds one, so `setlist image push --platform` builds and pushes them.
    """
    from setlist_pipelines.laptop.image import build, read_source

    source = read_source()
    if source.dirty:
        _warn(f"some files are in no commit; the image is labelled {source.commit}")
    build(name, source, base, platform)
    if "," in platform:
        _say(f"built for {platform}; next: setlist image push {name} --platform {platform}")
    else:
        _say(f"built {name}; next: setlist run --docker {name}, or setlist image push {name}")


@image.command(
    epilog=examples("export SETLIST_IMAGE=$(setlist image push registry.example/team/setlist:1)")
)
def push(name: Name, base: Base = "", platform: Platform = "") -> None:
    """Push the image and print its reference by digest, which is all of the standard output.

    With --platform the image is built for these platforms, and they are pushed as one.
    `docker login REGISTRY` comes first.
    """
    from setlist_pipelines.laptop.image import DIRTY, build_and_push, push, read_source, revision

    if platform:
        source = read_source()
        commit = source.commit
        reference = build_and_push(name, source, base, platform)
    elif base:
        raise ClusterError("--base builds nothing here", "add --platform, or see `image build`")
    else:
        commit = revision(name)
        from rich.console import Console
        from rich.progress import Progress

        console = Console(stderr=True)
        with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
            task = bar.add_task(f"pushing {name}", total=None)
            reference = push(name, lambda done, of: bar.update(task, completed=done, total=of))
    if commit.endswith(DIRTY):
        _warn(f"it was built from files that are in no commit ({commit})")
    _print(reference)


@image.command(
    epilog=examples("export SETLIST_IMAGE=$(setlist image digest registry.example/team/setlist:1)")
)
def digest(name: Name) -> None:
    """Print the reference by digest of what the registry has under this name now."""
    from setlist_pipelines.laptop.image import digest

    _print(digest(name))


def _print(reference: str) -> None:
    typer.echo(reference)
    _say(f"next: export SETLIST_IMAGE={reference}")


def _say(line: str) -> None:
    typer.echo(line, err=True)


def _warn(line: str) -> None:
    typer.secho(f"warning: {line}", fg="yellow", err=True)
