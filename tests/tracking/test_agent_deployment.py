"""What is installed with an agent, and what is written about it, fits the agent."""

from __future__ import annotations

import re
import shutil
import subprocess
import textwrap
from pathlib import Path

import pytest
from helpers.source import ROOT

from joulebook_collectors.agent.metrics import Metrics
from joulebook_collectors.agent.settings import OWN, SHARED, load_agent_settings
from joulebook_collectors.presence.unannounced_words import presence_settings

DEPLOY = ROOT / "deploy"
PAGE = (ROOT / "docs" / "agent.md").read_text(encoding="utf-8")


def test_the_example_is_a_configuration(tmp_path: Path) -> None:
    """As it stands, and with every key that is only shown."""
    text = (DEPLOY / "agent.toml").read_text(encoding="utf-8")
    for content in (text, re.sub(r"^#(?=[a-z0-9_]+ = |\[)(?!api_key_file)", "", text, flags=re.MULTILINE)):
        path = tmp_path / "agent.toml"
        path.write_text(content)
        path.chmod(0o640)
        settings = load_agent_settings({"HOME": str(tmp_path)}, str(path))
        assert settings.base.ledger == "https://joulebook.example"
        assert (settings.socket, settings.metrics_port) == ("/run/joulebook/agent.sock", 8421)


def test_the_configuration_of_the_nodes_of_a_cluster_is_one(tmp_path: Path) -> None:
    """As it stands in the DaemonSet, and with the section that is only shown."""
    text = (DEPLOY / "daemonset.yaml").read_text(encoding="utf-8")
    block = text.partition("agent.toml: |\n")[2].partition("---")[0]
    for content in (block, re.sub(r"^    #(?! )", "    ", block, flags=re.MULTILINE)):
        path = tmp_path / "agent.toml"
        path.write_text(re.sub(r"^ *api_key_file.*$", "", textwrap.dedent(content), flags=re.MULTILINE))
        path.chmod(0o640)
        settings = load_agent_settings({"HOME": str(tmp_path)}, str(path))
        assert settings.base.sysfs_root == "/host/sys"
    assert not presence_settings(settings.sections).is_empty


def test_every_key_is_explained() -> None:
    """And none that there is not."""
    table = PAGE.partition("| key | default | meaning |")[2].partition("\n\n")[0]
    explained = {key for line in table.splitlines()[2:] for key in re.findall(r"`([a-z_]+)`", line.split("|")[1])}
    assert explained == {*SHARED, *OWN}


def test_every_metric_is_explained() -> None:
    """By the name under which it is found."""
    names = set(re.findall(r"^# TYPE (\S+)", Metrics("1").page(connections=0, refused={}), flags=re.MULTILINE))
    assert {name for name in names if f"`{name}" not in PAGE} == set()


def test_the_unit_is_what_systemd_takes(tmp_path: Path) -> None:
    """Without the paths and the user that only an installed host has."""
    systemd = shutil.which("systemd-analyze")
    if systemd is None:
        pytest.skip("systemd-analyze is not installed here")
    text = (DEPLOY / "joulebook-agent.service").read_text(encoding="utf-8")
    unit = tmp_path / "joulebook-agent.service"
    unit.write_text(
        re.sub(r"^ExecStart=\S+ agent$", "ExecStart=/bin/true", text, flags=re.MULTILINE).replace(
            "=joulebook\nGroup=joulebook", "=root\nGroup=root"
        )
    )
    checked = subprocess.run([systemd, "verify", str(unit)], capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stderr) == (0, "")
