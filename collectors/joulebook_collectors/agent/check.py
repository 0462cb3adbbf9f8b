"""`joulebook agent --check`: all that can be said without reading: the configuration, the ledger's address, the spool, the doors, the meters."""

from __future__ import annotations

import os
import stat

from joulebook_collectors.delivery.uploader import door_of
from joulebook_collectors.host.identity import boot_id
from joulebook_collectors.host.processes import process_state
from joulebook_collectors.meters.find import find_meters
from joulebook_collectors.meters.node_source import configured_node
from joulebook_collectors.spool.folders import ledger_folder, prepare
from joulebook_collectors.tracking.session import AWAY
from joulebook_ledger.core.refusals import JoulebookError
from joulebook_ledger.settings import without_secret

TYPE_CHECKING = False
if TYPE_CHECKING:
    from joulebook_collectors.agent.log import Log
    from joulebook_collectors.agent.settings import AgentSettings

FIRST_PROCESS = 1


def check(settings: AgentSettings, log: Log) -> int:
    """Say how each thing stands, one line each; return 0 where the agent could do its work, else 1."""
    base = settings.base
    log.info("configuration", file=settings.config or "none", user=os.geteuid())
    wrong = [_spool(settings, log), _ledger(settings, log), _socket(settings, log), _processes(settings, log)]
    node = configured_node(settings.sections.get("node", {}), sysfs_root=base.sysfs_root)
    found = find_meters(boot=boot_id(base.proc_root), sysfs_root=base.sysfs_root, proc_root=base.proc_root, node=node)
    for meter in found.meters:
        told = meter.description
        log.info("meter", component=told.component, domain=told.domain, device=told.device, method=told.method)
    for absent in found.absent:
        log.info(
            "meter_absent", name=absent.name, component=absent.component, reason=absent.reason, help="joulebook doctor"
        )
    found.close()
    return 1 if any(wrong) else 0


def _spool(settings: AgentSettings, log: Log) -> bool:
    folder = ledger_folder(settings.base)
    try:
        for place in (os.path.dirname(os.path.dirname(folder)), os.path.dirname(folder), folder):
            prepare(place)
    except OSError as error:
        remedy = "let it belong to the agent (StateDirectory=joulebook in its unit), or set spool to another folder"
        log.fault("spool", path=folder, reason=error.strerror or error, remedy=remedy)
        return True
    log.info("spool", path=folder)
    return False


def _ledger(settings: AgentSettings, log: Log) -> bool:
    name = without_secret(settings.base.ledger)
    if not settings.base.ledger.startswith(AWAY):
        remedy = "set ledger to http(s)://… or file:///…; else what is read waits for a command with this spool"
        log.warning("ledger", url=name, reason="the agent delivers to services and drop-boxes only", remedy=remedy)
        return False
    try:
        door_of(settings.base)
    except JoulebookError as error:
        log.fault("ledger", url=name, reason=error)
        return True
    log.info("ledger", url=name)
    return False


def _socket(settings: AgentSettings, log: Log) -> bool:
    if not settings.socket:
        log.warning("socket", path="none", reason="jobs of other users cannot announce themselves")
        return False
    folder = os.path.dirname(settings.socket)
    if not os.path.isdir(folder):
        remedy = f"RuntimeDirectory=joulebook in its unit makes it; by hand: install -d -o joulebook {folder}"
        log.warning("socket", path=settings.socket, reason="its folder is not there yet", remedy=remedy)
        return False
    if not os.access(folder, os.W_OK):
        remedy = f"chown joulebook {folder}; in a unit RuntimeDirectory=joulebook does it"
        log.fault("socket", path=settings.socket, reason="its folder cannot be written", remedy=remedy)
        return True
    is_reachable = settings.socket_mode & stat.S_IWOTH
    log.info(
        "socket",
        path=settings.socket,
        mode=f"{settings.socket_mode:04o}",
        reaches="every user" if is_reachable else "some users",
    )
    return False


def _processes(settings: AgentSettings, log: Log) -> bool:
    """Others' processes have to be seen, or nothing can be said of who used what."""
    if process_state(FIRST_PROCESS, settings.base.proc_root) is not None:
        return False
    remedy = "mount /proc without hidepid, or add the agent to the group of its gid= option; in a pod set hostPID: true"
    log.fault("processes", path=settings.base.proc_root, reason="processes of other users are hidden", remedy=remedy)
    return True
