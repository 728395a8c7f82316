"""The folder that workers share: where it is, who may use it, when it goes."""

from __future__ import annotations

import os
import signal
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from falconkit.arena import Arena, host, owner, rundir
from falconkit.arena import default as module
from falconkit.arena.place import Place
from falconkit.errors import ConfigurationError
from falconkit.events import ArenaDegraded, Event, Events
from falconkit.testing import ManualClock

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root can")


@pytest.fixture
def place(folder: Path) -> Path:
    return folder.parent


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> host.Parent:
    """Let our parent be a server of which we are a fork."""
    parent = host.Parent(4711, "12345", host.own_command())
    monkeypatch.setattr(host, "parent", lambda: parent)
    return parent


class TestCreate:
    def test_it_is_private_to_the_user_and_marked_as_used(self, place: Path) -> None:
        path = rundir.create("my app/1", environ={}, among=[place])
        assert path is not None
        assert path.parent == place
        assert path.name.startswith(f"falconkit-{os.geteuid()}-my_app_1-{os.getpid()}-")
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
        assert rundir.sweep([place]) == []
        assert rundir.remove(path)
        assert not path.exists()
        assert not rundir.remove(path)

    def test_two_have_different_ones(self, place: Path) -> None:
        paths = {rundir.create("app", environ={}, among=[place]) for _ in range(2)}
        assert len(paths) == 2
        assert all(path is not None and rundir.remove(path) for path in paths)

    def test_places_are_tried_in_order(self, place: Path) -> None:
        missing, file = place / "missing", place / "file"
        file.touch()
        path = rundir.create("app", environ={}, among=[missing, file, place])
        assert path is not None
        assert path.parent == place
        rundir.remove(path)
        assert rundir.create("app", environ={}, among=[missing, file]) is None

    def test_the_users_own_is_used_and_stays(self, folder: Path) -> None:
        assert rundir.create("app", environ={"FALCONKIT_RUN": str(folder)}) == folder
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert not rundir.remove(folder)
        assert folder.exists()

    def test_the_users_own_that_cannot_be_used_is_an_error(self, place: Path) -> None:
        for path in (place / "no" / "parent", place / "file"):
            (place / "file").touch()
            with pytest.raises(ConfigurationError, match=r"FALCONKIT_RUN='.*(no/parent|file)'"):
                rundir.create("app", environ={"FALCONKIT_RUN": str(path)})

    @root_only
    def test_it_can_be_handed_to_the_workers_user(self, place: Path) -> None:
        path = rundir.create("app", environ={}, among=[place], uid=65534, gid=65534)
        assert path is not None
        assert path.stat().st_uid == 65534
        assert (path / "owner").stat().st_uid == 65534
        assert rundir.remove(path)

    def test_one_that_is_still_used_is_not_removed(self, place: Path, child: Callable) -> None:
        path = rundir.create("app", environ={}, among=[place])
        assert path is not None

        def work(say: Callable) -> None:
            Arena(path).buckets().take("ann", 1.0, 1)
            say("uses it")
            signal.pause()

        worker = child(work)
        assert worker.hear() == "uses it"
        assert not rundir.remove(path)
        assert path.exists()
        worker.kill()
        assert rundir.sweep([place]) == [path]


class TestSweep:
    def test_those_of_killed_servers_go(self, place: Path, child: Callable) -> None:
        def serve(say: Callable) -> None:
            path = rundir.create("app", environ={}, among=[place])
            Arena(path).slots("metrics").series("calls", 1).add(0, 1.0)
            say(str(path))
            signal.pause()

        server = child(serve)
        path = Path(server.hear())
        assert rundir.sweep([place]) == []
        server.kill()
        (place / "falconkit-somebody-else").mkdir()
        (place / f"falconkit-{os.geteuid()}-a-file").touch()
        mine = rundir.create("app", environ={}, among=[place])
        assert not path.exists()
        assert (place / "falconkit-somebody-else").exists()
        assert mine is not None
        assert rundir.remove(mine)

    def test_a_child_of_the_server_does_not_keep_it(
        self, place: Path, child: Callable, gone: Callable
    ) -> None:
        def serve(say: Callable) -> None:
            path = rundir.create("app", environ={}, among=[place])
            pid = os.fork()
            if pid == 0:
                say([str(path), os.getpid()])
                signal.pause()
            signal.pause()

        server = child(serve)
        path, pid = server.hear()
        assert rundir.sweep([place]) == []
        server.kill()
        try:
            assert rundir.sweep([place]) == [Path(path)]
        finally:
            os.kill(pid, signal.SIGKILL)
        gone(pid)

    def test_a_missing_place_is_no_error(self, place: Path) -> None:
        assert rundir.sweep([place / "missing"]) == []

    def test_who_comes_while_it_is_swept_makes_it_anew(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        opening = owner._open_mark
        swept = []

        def sweep_meanwhile(path: Path) -> int:
            fd = opening(path)
            if not swept:
                swept.append(1)
                (path / "owner").unlink()
                path.rmdir()
            return fd

        monkeypatch.setattr(owner, "_open_mark", sweep_meanwhile)
        fd = owner.enter(folder)
        assert os.path.samestat(os.fstat(fd), (folder / "owner").stat())
        os.close(fd)


class TestFind:
    def test_the_variable_comes_first(self, server: host.Parent, folder: Path) -> None:
        assert rundir.find(environ={"FALCONKIT_RUN": str(folder)}) == (folder, "")

    def test_else_it_is_named_after_parent_and_app(self, server: host.Parent, place: Path) -> None:
        path, why = rundir.find(environ={}, among=[place / "missing", place])
        assert why == ""
        assert path == place / f"falconkit-{os.geteuid()}-4711-12345-{host.app()}"

    def test_another_parent_or_app_has_another(
        self, place: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def found(pid: int, started: str) -> Path | None:
            parent = host.Parent(pid, started, host.own_command())
            monkeypatch.setattr(host, "parent", lambda: parent)
            return rundir.find(environ={}, among=[place])[0]

        paths = [found(4711, "1"), found(4711, "2"), found(4712, "1")]
        monkeypatch.setattr("sys.argv", ["another"])
        paths.append(found(4711, "1"))
        assert len(set(paths)) == 4

    @pytest.mark.parametrize(
        ("parent", "why"),
        [
            (None, "unknown"),
            (host.Parent(1, "1", host.own_command()), "pid 1 "),
            (host.Parent(7, "1", ("bash",)), "pid 7 bash"),
            (host.Parent(7, "1", ("/usr/bin/python", "-m", "pytest", "-n2")), "pytest -n2"),
            (host.Parent(7, "1", ()), "pid 7 "),
        ],
    )
    def test_without_a_server_there_is_none(
        self,
        place: Path,
        monkeypatch: pytest.MonkeyPatch,
        parent: host.Parent | None,
        why: str,
    ) -> None:
        monkeypatch.setattr(host, "parent", lambda: parent)
        path, said = rundir.find(environ={}, among=[place])
        assert path is None
        assert why in said
        assert "FALCONKIT_RUN" in said

    @pytest.mark.parametrize(
        "command",
        [
            ("gunicorn: master [app:app]",),
            ("/usr/bin/python3", "/app/bin/gunicorn", "app:app"),
            ("/usr/bin/python3", "-m", "uvicorn", "app:app"),
            ("uwsgi", "--http", ":80"),
            ("granian", "app:app"),
        ],
    )
    def test_known_servers(self, command: tuple[str, ...]) -> None:
        assert host.Parent(7, "1", command).serves(("python", "worker.py"))

    def test_no_place_can_be_written(self, server: host.Parent, place: Path) -> None:
        path, why = rundir.find(environ={}, among=[place / "missing"])
        assert path is None
        assert str(place / "missing") in why

    def test_without_file_locks_there_is_none(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(rundir, "available", lambda: False)
        path, why = rundir.find(environ={"FALCONKIT_RUN": str(folder)})
        assert path is None
        assert "fcntl" in why
        assert rundir.create("app", environ={}) is None

    def test_our_real_parent(self) -> None:
        parent = host.parent()
        assert parent is not None
        assert parent.pid == os.getppid()
        assert parent.started.isdigit()
        assert parent.command == host.command_line(parent.pid)
        assert host.own_command()


def test_the_workers_of_one_server_find_each_other(
    place: Path, child: Callable, clock: ManualClock
) -> None:
    # We are the server: our forks have our command line.
    arena = Arena(among=[place])

    def work(say: Callable) -> None:
        say([arena.buckets().take("ann", 3600.0, 3)[0] for _ in range(2)])
        say(arena.status()["directory"])

    workers = [child(work) for _ in range(3)]
    heard = [each.hear() for each in workers]
    assert sum(each.count(True) for each in heard) == 3
    assert len({each.hear() for each in workers}) == 1


class TestCheck:
    @pytest.mark.parametrize("given", [True, False])
    def test_a_folder_that_others_may_write(
        self, folder: Path, given: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        folder.mkdir()
        folder.chmod(0o777)
        monkeypatch.setenv("FALCONKIT_RUN", str(folder))
        name = "directory" if given else "FALCONKIT_RUN"
        with pytest.raises(ConfigurationError, match=rf"^{name}='.*mode 777.*chmod 700"):
            Arena(folder if given else None)

    def test_a_file_or_a_link(self, folder: Path) -> None:
        folder.touch()
        link = folder.with_name("link")
        link.symlink_to(folder.parent)
        for path in (folder, link):
            with pytest.raises(ConfigurationError, match="is not a folder"):
                Arena(path)

    def test_a_folder_in_none(self, folder: Path) -> None:
        with pytest.raises(ConfigurationError, match="cannot be written"):
            Arena(folder / "a" / "b")

    def test_nothing_is_made(self, folder: Path) -> None:
        rundir.check(folder)
        Arena(folder).check()
        assert not folder.exists()

    @root_only
    def test_somebody_elses(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        folder.mkdir(mode=0o700)
        os.chown(folder, 65534, 65534)
        rundir.check(folder)  # root may, when it was told to
        with pytest.raises(PermissionError, match="belongs to user 65534, not to 0"):
            owner.enter(folder)
        assert not owner.remove_unused(folder)
        monkeypatch.setattr(os, "geteuid", lambda: 1000)
        with pytest.raises(ConfigurationError, match="belongs to user 65534, not to 1000"):
            rundir.check(folder)

    def test_a_folder_that_cannot_be_written(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        folder.mkdir(mode=0o700)
        monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write anywhere
        with pytest.raises(ConfigurationError, match="cannot be written"):
            Arena(folder)


class TestPlace:
    def test_processes_agree_on_epoch_and_seed(self, folder: Path) -> None:
        clock = ManualClock()
        first = Place(folder, clock=clock)
        clock.advance(100.0)
        second = Place(folder, clock=clock)
        assert (first.epoch, first.seed) == (second.epoch, second.seed)
        assert first.epoch == 999.0
        assert Place(None, clock=clock).seed != first.seed
        assert first.path is not None
        assert stat.S_IMODE((first.path / "meta").stat().st_mode) == 0o600

    @pytest.mark.parametrize("what", ["boot", "namespace"])
    def test_another_boot_or_time_namespace_begins_anew(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch, what: str
    ) -> None:
        old = Place(folder, clock=ManualClock())
        assert old.path is not None
        if what == "boot":
            read = host._read
            monkeypatch.setattr(
                host, "_read", lambda path: "x" if "boot_id" in path else read(path)
            )
        else:
            monkeypatch.setattr(os, "readlink", lambda path: "time:[1]")
        beside = Place(folder, clock=ManualClock(monotonic=5.0))
        assert beside.path != old.path
        assert beside.epoch == 4.0
        assert old.path.exists(), "somebody uses it"
        old.close()
        beside.close()
        Place(folder, clock=ManualClock()).close()
        assert not old.path.exists()
        assert beside.path is not None
        assert beside.path.exists()

    def test_a_folder_of_another_version_is_not_used(self, folder: Path) -> None:
        place = Place(folder, clock=ManualClock())
        assert place.path is not None
        (place.path / "meta").write_bytes(b"something else")
        heard: list[Event] = []
        arena = Arena(folder, events=Events(heard.append))
        assert arena.buckets().take("ann", 1.0, 1)[0]
        (event,) = heard
        assert isinstance(event, ArenaDegraded)
        assert event.what == "private"
        assert "meta was not written by this version" in event.detail

    def test_a_file_of_another_size_is_not_used(self, arena: Arena) -> None:
        arena.buckets().take("ann", 1.0, 1)
        folder = next(Path(str(arena.status()["directory"])).glob("arena-*"))
        (folder / "buckets.gcra-1.1").write_bytes(b"short")
        arena.close()
        assert arena.buckets().take("ann", 1.0, 1)[0]
        assert arena.status()["private_count"] == 1


def test_the_default_arena_is_one_and_opens_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_default", {})
    monkeypatch.setenv("FALCONKIT_RUN", str(folder))
    arena = module.default_arena()
    assert module.default_arena() is arena
    assert not folder.exists()
    assert arena.status()["opened"] is False
    assert arena.buckets().take("ann", 1.0, 1)[0]
    assert arena.status()["directory"] == str(folder)
    assert arena.status()["private"] is False
    arena.close()
