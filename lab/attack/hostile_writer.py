"""A daemon that was taken over, in the state folder of its node: try all that its user may do there.

Run as that user: `python -m lab.attack.hostile_writer STATE edge`. Prints, as a JSON list, what succeeded outside its
own folder.
"""

import fcntl
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

from node.state.catalogue import ALL
from node.state.state_file import Daemon

LIE = '{"generation": 9007199254740991, "at": 0, "results": [], "items": []}'
GIANT = 1 << 40  # bytes, sparse
Trick = tuple[str, Callable[[], object]]


def attack_state_folder(state: Path, daemon: Daemon) -> list[str]:
    """Return the names of the tricks that succeeded."""
    own = state / daemon.value
    done = []
    for name, trick in (*_tricks_on_folders(state, own, daemon), *_tricks_on_files(state, own, daemon)):
        with suppress(OSError):
            trick()
            done.append(name)
    _plant_lies(own, daemon)
    return done


def _tricks_on_folders(state: Path, own: Path, daemon: Daemon) -> Iterator[Trick]:
    for name in dict.fromkeys(file.folder for file in ALL if file.writer is not daemon):
        folder = state / name
        yield f"move {name}/ away", partial(folder.rename, folder.with_name("away"))
        yield f"put a link in place of {name}/", partial(folder.symlink_to, own)
        yield f"open {name}/ to all", partial(folder.chmod, 0o777)
        yield f"make a folder in {name}/", partial((folder / "applied.json.new").mkdir)
        yield f"make a link in {name}/", partial((folder / ".link").symlink_to, own)
    yield "make a folder beside the daemons'", partial((state / "other").mkdir)
    yield "make a file beside the daemons'", partial((state / "table.json").write_text, LIE)
    yield "move the state folder away", partial(state.rename, state.with_name("gone"))


def _tricks_on_files(state: Path, own: Path, daemon: Daemon) -> Iterator[Trick]:
    for file in ALL:
        if file.writer is daemon:
            continue
        path, name = file.path_in(state), file.name
        yield f"write {name}", partial(_open_and_close, path, os.O_WRONLY)
        yield f"create {name}", partial(_open_and_close, path, os.O_WRONLY | os.O_CREAT)
        yield f"remove {name}", partial(path.unlink)
        yield f"replace {name}", partial(_rename_lie, own, path)
        yield f"replace {name} by a giant", partial(_rename_giant, own, path)
        yield f"replace {name} by a fifo", partial(os.mkfifo, path)
        yield f"replace {name} by a link", partial(path.symlink_to, own / "lie")
        yield f"link {name} into its own folder", partial(os.link, path, own / f"hard-{name}")
        yield f"change the mode of {name}", partial(path.chmod, 0o666)
        if not file.mode & 0o070 or file.only_reader not in (None, daemon):
            yield f"read {name}", partial(_open_and_close, path, os.O_RDONLY)
            yield f"lock {name}", partial(_lock_file, path)


def _open_and_close(path: Path, flags: int) -> None:
    os.close(os.open(path, flags))


def _rename_lie(own: Path, path: Path) -> None:
    (own / "lie").write_text(LIE)
    (own / "lie").rename(path)


def _rename_giant(own: Path, path: Path) -> None:
    with (own / "giant").open("w") as file:
        file.truncate(GIANT)
    (own / "giant").rename(path)


def _lock_file(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)  # until this process ends


def _plant_lies(own: Path, daemon: Daemon) -> None:
    """Leave files of every other daemon's name in its own folder: no daemon must look there."""
    for file in ALL:
        if file.writer is not daemon:
            with suppress(OSError):
                (own / file.name).write_text(LIE)


if __name__ == "__main__":
    print(json.dumps(attack_state_folder(Path(sys.argv[1]), Daemon(sys.argv[2]))))
