"""The agent's page is what Prometheus takes, and counts what the books have."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.agents import BECOME, AgentPlace, agent_place
from helpers.tracked import PATIENCE_SECONDS, wait_until

from joulebook_collectors.agent.log import Log
from joulebook_collectors.agent.metrics import Metrics, Pulse
from joulebook_collectors.meters.meter import MeterDescription

GPU = MeterDescription(device="GPU-1", domain="gpu", component="gpu", max_power_mw=1, label="", method="counter")
OTHER = MeterDescription(device="GPU-2", domain="gpu", component="gpu", max_power_mw=1, label="", method="counter")
WORK = "with joulebook.track(model='m'):\n    time.sleep(0.3)\n"


def values_of(page: str) -> dict[str, float]:
    """Return the samples of a page."""
    lines = [line for line in page.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


def test_totals_never_go_back_when_windows_end() -> None:
    """What was open and what has ended are counted together, over all devices of one kind."""
    metrics = Metrics("1")
    metrics.know("a", GPU)
    metrics.know("b", OTHER)
    name = 'joulebook_meter_energy_joules_total{component="gpu",domain="gpu"}'
    metrics.take([(GPU, 1_500), (OTHER, 500)], runs=1, processes=2)
    assert values_of(metrics.page(connections=0, refused={}))[name] == 2.0
    metrics.hear({"readings": [{"meter": "a", "energy_mj": 1_500, "start_ms": 0, "end_ms": 9}]})
    assert values_of(metrics.page(connections=0, refused={}))[name] == 2.0
    metrics.take([(GPU, 100), (OTHER, 600)], runs=1, processes=2)
    assert values_of(metrics.page(connections=0, refused={}))[name] == 2.2


def test_gaps_are_counted_by_reason() -> None:
    """In number and in time."""
    metrics = Metrics("1")
    metrics.know("a", GPU)
    metrics.hear({"gaps": [{"meter": "a", "reason": "device_lost", "start_ms": 0, "end_ms": 2_500}]})
    metrics.delivered({"stored": 3, "refused": 1})
    values = values_of(metrics.page(connections=4, refused={"other_user": 2}))
    assert values['joulebook_gaps_total{component="gpu",reason="device_lost"}'] == 1
    assert values['joulebook_gap_seconds_total{component="gpu",reason="device_lost"}'] == 2.5
    assert values['joulebook_delivery_items_total{outcome="stored"}'] == 3
    assert values['joulebook_connections_refused_total{reason="other_user"}'] == 2
    assert values["joulebook_connections"] == 4


def test_a_reader_that_falls_silent_is_not_well() -> None:
    """Nor is it ready before it has read."""
    now = [0.0]
    pulse = Pulse(30, lambda: now[0])
    assert (pulse.health()[0], pulse.readiness()[0]) == (True, False)
    pulse.is_ready = True
    assert pulse.readiness() == (True, "ok\n")
    now[0] = 31.0
    assert (pulse.health(), pulse.readiness()[0]) == ((False, "the reader has said nothing for 31 seconds\n"), False)
    pulse.beat()
    assert pulse.health()[0]


def test_a_trouble_is_told_once_and_once_more_when_it_is_over() -> None:
    """Not each second."""
    lines: list[str] = []
    log = Log("info", lines.append)
    for _ in range(1_000):
        log.trouble("x", "ledger_out_of_reach", reason='it "sleeps"\nlevel=error event=forged')
    log.over("x", "ledger_reached_again")
    log.over("x", "ledger_reached_again")
    log.debug("unheard")
    assert lines == [
        'level=warning event=ledger_out_of_reach reason="it \\"sleeps\\" level=error event=forged"',
        "level=info event=ledger_reached_again times=1000",
    ]


@pytest.fixture
def place() -> Iterator[AgentPlace]:
    """Return a place whose agent has read a job."""
    if sys.platform != "linux":
        pytest.skip("the agent's socket asks the kernel of Linux who is there")
    with agent_place() as place:
        place.start()
        assert place.job("job").run(BECOME + WORK).returncode == 0
        yield place


def tool(name: str) -> str:
    """Return a program of Prometheus, or skip."""
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is not installed here (Debian: apt-get install prometheus)")
    return path


@pytest.mark.long
@pytest.mark.processes
def test_promtool_has_nothing_to_say(place: AgentPlace) -> None:
    """Names, units and types are as Prometheus wants them."""
    page = place.ask("/metrics")[1]
    checked = subprocess.run(
        [tool("promtool"), "check", "metrics"], input=page, capture_output=True, text=True, check=False
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


@pytest.mark.long
@pytest.mark.processes
def test_prometheus_scrapes_it(place: AgentPlace, tmp_path: Path) -> None:
    """A real one, which then answers for the energy of this host."""
    import json
    import socket
    import urllib.request

    program = tool("prometheus")
    target = place.wait_for("event=serving").partition("http://")[2].removesuffix("/metrics")
    configuration = tmp_path / "prometheus.yml"
    configuration.write_text(
        f"global: {{scrape_interval: 1s}}\nscrape_configs:\n- job_name: joulebook\n  static_configs:\n  - targets: ['{target}']\n"
    )
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [
        program,
        f"--config.file={configuration}",
        f"--storage.tsdb.path={tmp_path}/data",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def joules() -> float:
        url = f"http://127.0.0.1:{port}/api/v1/query?query=sum(joulebook_meter_energy_joules_total)"
        try:
            with urllib.request.urlopen(url, timeout=PATIENCE_SECONDS) as answer:
                results = json.load(answer)["data"]["result"]
        except OSError:
            return 0.0
        return float(results[0]["value"][1]) if results else 0.0

    try:
        wait_until(joules, "it was scraped")
        before = joules()
        wait_until(lambda: joules() > before, "it is scraped again")
        assert joules() <= place.figure("joulebook_meter_energy_joules_total")
    finally:
        process.terminate()
        process.wait(PATIENCE_SECONDS)
