# SPDX-License-Identifier: BSD-2-Clause
"""Between Ansible and the services: the only place that knows AnsibleModule."""

from __future__ import annotations

import signal
import traceback
from dataclasses import dataclass, field
from typing import Any, Callable, Dict, List, Mapping, NoReturn, Optional, Sequence, Union

from ansible.module_utils.basic import AnsibleModule

from .constants import DEFAULT_URI
from .differences import Differences, ManyDifferences
from .errors import CloudError, PartialFailure, unforeseen
from .libvirt_host import LibvirtHost

URI_ARGUMENT: Dict[str, Dict[str, Any]] = {"uri": {"type": "str", "default": DEFAULT_URI}}


class Terminated(BaseException):
    """SIGTERM, SIGHUP or SIGINT arrived; services undo what they began and let it pass."""


@dataclass(frozen=True)
class Result:
    """What a module found and did. ``values`` are the module's own return values.

    ``always_changed`` is for actions that are a change although no field differs afterwards.
    """

    differences: Union[Differences, ManyDifferences]
    values: Mapping[str, Any]
    warnings: Sequence[str] = field(default_factory=tuple)
    always_changed: bool = False

    @property
    def changed(self) -> bool:
        """What Ansible counts."""
        return self.always_changed or self.differences.changed


NO_DIFFERENCES = Differences({}, {})
Ensure = Callable[[Mapping[str, Any], LibvirtHost, bool], Result]


def run_module(
    argument_spec: Mapping[str, Mapping[str, Any]],
    ensure: Ensure,
    read_only: bool = False,
    required_one_of: Optional[List[List[str]]] = None,
    mutually_exclusive: Optional[List[List[str]]] = None,
) -> None:
    """Open libvirt at ``uri``, call ``ensure(params, host, check_mode)``, report as Ansible wants.

    ``read_only`` modules get a connection that cannot change anything.
    """
    module = AnsibleModule(
        argument_spec={**argument_spec, **URI_ARGUMENT},
        supports_check_mode=True,
        required_one_of=required_one_of,
        mutually_exclusive=mutually_exclusive,
    )
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, _raise_terminated)
    try:
        with LibvirtHost.open(module.params["uri"], read_only) as host:
            result = ensure(module.params, host, bool(module.check_mode))
    except PartialFailure as error:
        _fail(module, error, **error.values)
    except CloudError as error:
        _fail(module, error)
    except Terminated as signalled:
        _fail(module, CloudError(f"ended by {signalled}; what was begun has been undone"))
    except Exception as error:
        _fail(module, unforeseen(error), exception=traceback.format_exc())
    for warning in result.warnings:
        module.warn(warning)
    module.exit_json(
        **{
            **result.values,
            "changed": result.changed,
            "diff": result.differences.as_diff(),
        }
    )


def _raise_terminated(number: int, _frame: Any) -> NoReturn:
    # A second signal must not break off the undoing that the first one started.
    for each in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(each, signal.SIG_IGN)
    raise Terminated(signal.Signals(number).name)


def _fail(module: AnsibleModule, error: CloudError, **more: Any) -> NoReturn:
    module.fail_json(msg=error.message, error=error.as_dict(), **more)
    raise AssertionError("fail_json does not return")
