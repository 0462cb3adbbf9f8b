"""A Slurm of one node on loopback, with a munge of its own; nothing of the machine's own Slurm is touched or needed."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "srun", "sbatch", "scontrol", "sinfo")
PATIENCE_SECONDS = 60.0
_FOLDERS = "/usr/sbin:/usr/local/sbin"
_CONFIGURATION = """
ClusterName=joulebook-test
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmctldPort={first_port}
SlurmdPort={second_port}
AuthType=auth/munge
AuthInfo=cred_expire=5,socket={folder}/munge.socket
CryptoType=crypto/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
ReturnToService=2
JobRequeue=1
MpiDefault=none
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_interval=1,bf_interval=1
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP OverSubscribe=FORCE:4
"""


def missing() -> str:
    """Return why there can be no Slurm here; empty where there can."""
    if os.geteuid() != 0:
        return "only root can start Slurm's daemons"
    absent = [name for name in PROGRAMS if not shutil.which(name, path=f"{os.environ['PATH']}:{_FOLDERS}")]
    return f"not installed: {', '.join(absent)} (Debian: apt-get install slurm-wlm munge)" if absent else ""


class Slurm:
    """Its daemons, and how to call it.

    Attributes:
        folder: Where everything of it lies.
        environment: Variables with which its commands find it.
    """

    def __init__(self, folder: Path) -> None:
        """Start the daemons and wait until the node is idle."""
        self.folder = folder
        self._daemons: list[subprocess.Popen[bytes]] = []
        path = f"{os.environ['PATH']}:{_FOLDERS}"
        self.environment = {**os.environ, "PATH": path, "SLURM_CONF": str(folder / "slurm.conf")}
        for name in ("state", "spool"):
            (folder / name).mkdir()
        key = folder / "munge.key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o400)
        ports = _free_ports(2)
        text = _CONFIGURATION.format(
            host=socket.gethostname().partition(".")[0], folder=folder, first_port=ports[0], second_port=ports[1], cpus=os.cpu_count(),
        )  # fmt: skip
        (folder / "slurm.conf").write_text(text)

    def start(self) -> None:
        """Start the daemons, and wait until a job could run."""
        names = {"socket": "socket", "key-file": "key", "pid-file": "pid", "log-file": "log", "seed-file": "seed"}
        munge = [f"--{name}={self.folder}/munge.{ending}" for name, ending in names.items()]
        self._daemon("munged", "--foreground", "--force", *munge)
        self.wait_for((self.folder / "munge.socket").exists, "munge")
        self._daemon("slurmctld", "-D", "-i")
        self._daemon("slurmd", "-D", "-N", socket.gethostname().partition(".")[0])
        self.wait_for(lambda: "idle" in self.call("sinfo", "-h", "-o", "%t", check=False), "an idle node")

    def call(self, *words: str, check: bool = True, environment: Mapping[str, str] | None = None) -> str:
        """Run a command of Slurm and return what it says."""
        done = subprocess.run(
            words,
            env={**self.environment, **(environment or {})},
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )
        assert not check or done.returncode == 0, (words, done.stdout, done.stderr)
        return done.stdout

    def wait_for(self, is_so: Callable[[], bool], what: str) -> None:
        """Wait until something is so."""
        until = time.monotonic() + PATIENCE_SECONDS
        while not is_so():
            assert time.monotonic() < until, (what, [path.read_text()[-2000:] for path in self.folder.glob("*.log")])
            time.sleep(0.2)

    def stop(self) -> None:
        """End the daemons."""
        for daemon in reversed(self._daemons):
            daemon.terminate()
        for daemon in reversed(self._daemons):
            try:
                daemon.wait(10)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()

    def _daemon(self, *words: str) -> None:
        log = (self.folder / f"{words[0]}.out.log").open("wb")
        with log:
            self._daemons.append(subprocess.Popen(words, env=self.environment, stdout=log, stderr=log))


@contextlib.contextmanager
def slurm() -> Iterator[Slurm]:
    """Give a Slurm that ends with the test."""
    folder = Path(tempfile.mkdtemp(prefix="joulebook-slurm-"))
    folder.chmod(0o755)
    running = Slurm(folder)
    try:
        running.start()
        yield running
    finally:
        running.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _free_ports(number: int) -> list[int]:
    sockets = [socket.socket() for _ in range(number)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports
