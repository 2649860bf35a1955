# SPDX-License-Identifier: Apache-2.0
"""Serving HTTP on one or more addresses."""

from __future__ import annotations

import logging
import socket
from contextlib import ExitStack
from logging.handlers import RotatingFileHandler

import structlog
import uvicorn

from nano_api.data_folder import in_use
from nano_api.errors import InvalidInput
from nano_api.main import create_app
from nano_api.settings import Settings

_LOG_BYTES, _LOG_FILES = 20 << 20, 5


def serve_until_told_to_stop(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT.

    :raises OSError: an address or the port cannot be had; names it
    :raises CloudError: the certificate cannot be used, or another service has the data folder
    """
    settings.prepare_folders()
    _start_logging(settings)
    # SQLite's database is for one process; PostgreSQL's may have several.
    alone = not settings.database_url
    with in_use(settings.data, alone=alone, purpose="serve"), ExitStack() as stack:
        sockets = [_listen(address, settings.port) for address in settings.bind]
        for listener in sockets:
            stack.callback(listener.close)
        config = uvicorn.Config(
            create_app(settings),
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=5,
            proxy_headers=False,
            ssl_certfile=settings.tls_certificate,
            ssl_keyfile=settings.tls_key,
        )
        try:
            config.load()
        except OSError as error:  # ssl.SSLError is one
            raise InvalidInput(
                f"tls_certificate {settings.tls_certificate} and tls_key {settings.tls_key} "
                f"cannot be used: {error}",
                field="tls_certificate",
            ) from None
        uvicorn.Server(config).run(sockets=sockets)


def _listen(address: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((address, port))
        listener.listen(512)
    except OSError as error:
        listener.close()
        raise OSError(
            error.errno,
            f"cannot listen on {address}:{port} ({error.strerror}); choose another "
            "with --bind and --port",
        ) from None
    return listener


def _start_logging(settings: Settings) -> None:
    """One JSON line per event, in a file and on standard error."""
    processors: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*processors, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=processors,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.JSONRenderer(),
        ],
    )
    file = RotatingFileHandler(
        settings.log_folder / "api.log", maxBytes=_LOG_BYTES, backupCount=_LOG_FILES
    )
    handlers: list[logging.Handler] = [file, logging.StreamHandler()]
    for handler in handlers:
        handler.setFormatter(formatter)
    logging.basicConfig(handlers=handlers, level=settings.log_level.upper(), force=True)
    logging.getLogger("alembic").setLevel(logging.WARNING)
