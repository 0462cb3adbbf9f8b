"""What an agent is told: each mistake is named with its key, its value and the way out, and none is passed over."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from joulebook_collectors.agent.settings import load_agent_settings
from joulebook_ledger.core.refusals import BadInput


def written(folder: Path, text: str, mode: int = 0o644) -> str:
    """Write a configuration and return its path."""
    path = folder / "agent.toml"
    path.write_text(text)
    path.chmod(mode)
    return str(path)


def refusal(folder: Path, text: str, **environment: str) -> str:
    """Return what is said of a configuration that cannot be taken."""
    with pytest.raises(BadInput) as caught:
        load_agent_settings({"HOME": str(folder), **environment}, written(folder, text))
    return str(caught.value)


def test_every_key_is_read(tmp_path: Path) -> None:
    """The file holds what the documents say it may."""
    key = tmp_path / "key"
    key.write_text("secret")
    key.chmod(0o600)
    text = f"""
    [agent]
    ledger = "https://joulebook.example"
    home = "/var/lib/joulebook"
    spool = "/var/lib/joulebook/spool"
    api_key_file = "{key}"
    machine = "node7"
    spool_megabytes = 512
    sample_seconds = 0.5
    flush_seconds = 9
    proc_root = "/host/proc"
    sysfs_root = "/host/sys"
    socket = "/run/elsewhere/agent.sock"
    socket_mode = "0660"
    metrics = "[::1]:9000"
    deliver_seconds = 30
    most_connections = 10
    most_connections_per_user = 5
    log_level = "debug"
    [slurm]
    cluster = "c"
    """
    settings = load_agent_settings({"HOME": str(tmp_path)}, written(tmp_path, text))
    base = settings.base
    assert (base.ledger, base.machine, base.sample_seconds, base.flush_seconds) == (
        "https://joulebook.example",
        "node7",
        0.5,
        9.0,
    )
    assert (base.spool, base.proc_root, base.sysfs_root) == ("/var/lib/joulebook/spool", "/host/proc", "/host/sys")
    assert (settings.socket, settings.socket_mode) == ("/run/elsewhere/agent.sock", 0o660)
    assert (settings.metrics_host, settings.metrics_port, settings.log_level) == ("::1", 9000, "debug")
    assert (settings.most_connections, settings.most_connections_per_user, settings.deliver_seconds) == (10, 5, 30.0)
    assert settings.sections == {"slurm": {"cluster": "c"}}


def test_the_environment_goes_before_the_file(tmp_path: Path) -> None:
    """As for every other part of Joulebook; the agent's own word goes before the common one."""
    path = written(tmp_path, '[agent]\nsample_seconds = 2\nmachine = "file"\nlog_level = "debug"')
    environment = {
        "HOME": str(tmp_path), "JOULEBOOK_AGENT_CONFIG": path, "JOULEBOOK_MACHINE": "common", "JOULEBOOK_AGENT_MACHINE": "own",
        "JOULEBOOK_SAMPLE_SECONDS": "3", "JOULEBOOK_AGENT_LOG_LEVEL": "error",
    }  # fmt: skip
    settings = load_agent_settings(environment)
    assert (settings.base.machine, settings.base.sample_seconds, settings.log_level) == ("own", 3.0, "error")
    assert settings.config == path


def test_what_systemd_makes_is_used(tmp_path: Path) -> None:
    """State and socket lie where the unit's folders are."""
    settings = load_agent_settings({"HOME": "/", "STATE_DIRECTORY": "/var/lib/x", "RUNTIME_DIRECTORY": "/run/x"})
    assert (settings.base.home, settings.base.spool, settings.socket) == (
        "/var/lib/x",
        "/var/lib/x/spool",
        "/run/x/agent.sock",
    )


@pytest.mark.parametrize("key", ["socket", "metrics"])
def test_doors_can_be_left_out(tmp_path: Path, key: str) -> None:
    """`none` is a value like any other."""
    settings = load_agent_settings({"HOME": str(tmp_path)}, written(tmp_path, f'[agent]\n{key} = "none"'))
    assert (settings.socket == "") == (key == "socket")
    assert (settings.metrics_host == "") == (key == "metrics")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[agent]\nsample_secnds = 1", "[agent] has no key 'sample_secnds': sample_seconds is meant?"),
        ("[agnet]\n", "[agnet] is not known: agent is meant?"),
        ("[agent]\nsample_seconds = 0", "sample_seconds must be a number of seconds from 0.05 to 60, not '0'"),
        ("[agent]\nledger = 'ftp://x'", "ledger 'ftp://x' is no ledger: write one of"),
        ("[agent]\nsocket = 'agent.sock'", "socket 'agent.sock' must be a whole path"),
        ("[agent]\nsocket_mode = '0999'", "socket_mode must be permission bits as an octal text"),
        ("[agent]\nmetrics = '8421'", "metrics '8421' is no address: write it as 127.0.0.1:8421"),
        ("[agent]\nmetrics = '127.0.0.1:70000'", "is no address"),
        ("[agent]\nlog_level = 'loud'", "log_level 'loud' is none of: debug, info, warning, error"),
        ("[agent]\ndeliver_seconds = 'soon'", "deliver_seconds must be a number from 1 to 3600, not 'soon'"),
        ("[agent]\napi_key = 'x'", "a secret does not belong there"),
        ("[agent]\nmost_connections = true", "most_connections must be a text or a number, not True"),
        ("[agent]\napi_key_file = '/nowhere/key'", "api_key_file '/nowhere/key' cannot be read by user id"),
        ("[slurm]\njobz = true", "[slurm] has no key 'jobz'"),
        ("[[serving]]\nmodel = 'm'", "[[serving]] 1 needs a model, and one of command, port, pod"),
        ("agent = 1", "agent must be a section: write [agent]"),
        ("[agent\n", "is no TOML"),
    ],
)  # fmt: skip
def test_what_cannot_be_taken_is_named_with_the_way_out(tmp_path: Path, text: str, told: str) -> None:
    """Key, value, and what to write in its place."""
    assert told in refusal(tmp_path, text)


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    """Nobody has to start the agent once per mistake."""
    told = refusal(tmp_path, "[agent]\nlog_levl = 1\nmetrics = 'x'", JOULEBOOK_AGENT_SOKET="y")
    assert "log_level is meant?" in told
    assert "metrics 'x' is no address" in told
    assert "JOULEBOOK_AGENT_SOKET is not known: JOULEBOOK_AGENT_SOCKET is meant?" in told


def test_a_file_that_anybody_may_write_is_not_believed(tmp_path: Path) -> None:
    """It could send what is measured anywhere."""
    path = written(tmp_path, "[agent]", 0o666)
    with pytest.raises(BadInput, match="may be written by anybody: chmod o-w"):
        load_agent_settings({"HOME": str(tmp_path)}, path)


def test_a_secret_that_anybody_may_read_is_refused(tmp_path: Path) -> None:
    """With the command that mends it."""
    key = tmp_path / "key"
    key.write_text("secret")
    key.chmod(0o644)
    assert f"can be read or written by anybody: chmod o-rwx {key}" in refusal(
        tmp_path, f'[agent]\napi_key_file = "{key}"'
    )


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root reads every file")
def test_a_file_that_cannot_be_read_is_named_with_the_remedy(tmp_path: Path) -> None:
    """Who may not read it, and how to let him."""
    with pytest.raises(BadInput, match=r"cannot be read by user id \d+: chgrp joulebook"):
        load_agent_settings({"HOME": str(tmp_path)}, written(tmp_path, "[agent]", 0o000))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    """A name given by hand is meant."""
    with pytest.raises(BadInput, match=r"gone\.toml cannot be read: No such file"):
        load_agent_settings({"HOME": str(tmp_path)}, str(tmp_path / "gone.toml"))
