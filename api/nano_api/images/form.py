# SPDX-License-Identifier: Apache-2.0
"""The multipart form of an upload, read as it arrives: nothing is kept but its small fields.

Fields: ``image`` (the file), ``checksum`` and ``format``, in any order; others are ignored.
"""

from __future__ import annotations

from collections.abc import Sequence

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from nano_api.errors import InvalidInput
from nano_api.images.store import IncomingFile

_FILE_FIELD = "image"
_TEXT_FIELDS = ("checksum", "format")
_MAX_TEXT_BYTES = 1024
_MAX_PARTS = 16
_CHECKSUM_ALGORITHMS = {40: "sha1", 64: "sha256"}
_HEX_DIGITS = frozenset("0123456789abcdef")


def boundary_of(content_type: str) -> bytes:
    """The boundary that a form's Content-Type names.

    :raises InvalidInput: it is no multipart form
    """
    kind, options = parse_options_header(content_type)
    boundary = options.get(b"boundary", b"")
    if kind != b"multipart/form-data" or not boundary:
        raise InvalidInput(
            f"the body must be multipart/form-data with the file in the field '{_FILE_FIELD}'"
        )
    return boundary


class UploadForm:
    """Feeds the file's bytes to an IncomingFile while it parses; blocking, not for two threads."""

    def __init__(
        self, boundary: bytes, file: IncomingFile, max_file_bytes: int, formats: Sequence[str]
    ) -> None:
        """``formats`` are those that may be declared; the first is the default."""
        self._formats = formats
        self._file = file
        self._max_file_bytes = max_file_bytes
        self._texts: dict[str, bytearray] = {}
        self._parts = 0
        self._has_file = False
        self._ended = False
        self._field = ""
        self._header_name = bytearray()
        self._header_value = bytearray()
        self._disposition = ""
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._part_begin,
                    "on_header_field": self._header_name_data,
                    "on_header_value": self._header_value_data,
                    "on_header_end": self._header_end,
                    "on_headers_finished": self._headers_finished,
                    "on_part_data": self._part_data,
                    "on_part_end": self._part_end,
                    "on_end": self._end,
                },
            )
        except FormParserError as error:
            raise _malformed(error) from error

    def feed(self, data: bytes) -> None:
        """The next bytes of the body.

        :raises InvalidInput: the form is malformed, a field is wrong, the file is too large
        :raises NoSpace: the disk is full
        :raises NotFound: the image was deleted meanwhile
        """
        try:
            self._parser.write(data)
        except FormParserError as error:
            raise _malformed(error) from error

    def finish(self) -> None:
        """The body has ended: check that it was whole and what its fields say.

        :raises InvalidInput: it was cut off, has no file, or the checksum is another one
        """
        if not self._ended:
            raise InvalidInput(
                "the upload was cut off: the end of the form is missing; upload it again"
            )
        if not self._has_file:
            raise InvalidInput(f"the form has no field '{_FILE_FIELD}' with the file")
        if not self._file.size_bytes:
            raise InvalidInput(f"the file in the field '{_FILE_FIELD}' is empty")
        self._check_sum()

    @property
    def image_format(self) -> str:
        """The declared format, or the default."""
        return self._text("format") or self._formats[0]

    def _text(self, field: str) -> str:
        raw = bytes(self._texts.get(field, b""))
        try:
            return raw.decode().strip().lower()
        except UnicodeDecodeError as error:
            raise InvalidInput(f"invalid value for '{field}': it is not UTF-8") from error

    def _declared_checksum(self) -> tuple[str, str]:
        """(algorithm, hex digest), both "" when none is declared."""
        text = self._text("checksum")
        if not text:
            return "", ""
        prefix, _, digest = text.rpartition(":")
        algorithm = _CHECKSUM_ALGORITHMS.get(len(digest), "")
        if not algorithm or prefix not in ("", algorithm) or not _HEX_DIGITS.issuperset(digest):
            raise InvalidInput(
                "invalid value for 'checksum': give the file's SHA-1 or SHA-256 in hex",
                field="checksum",
            )
        return algorithm, digest

    def _check_sum(self) -> None:
        algorithm, declared = self._declared_checksum()
        found = {"": "", "sha1": self._file.sha1, "sha256": self._file.sha256}[algorithm]
        if found != declared:
            raise InvalidInput(
                f"the file that arrived has {algorithm} {found}, not {declared} as 'checksum' says;"
                " upload it again",
                field="checksum",
            )

    def _part_begin(self) -> None:
        self._parts += 1
        if self._parts > _MAX_PARTS:
            raise InvalidInput(f"the form has more than {_MAX_PARTS} parts")
        self._disposition = ""

    def _header_name_data(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]

    def _header_value_data(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def _header_end(self) -> None:
        if self._header_name.lower() == b"content-disposition":
            self._disposition = self._header_value.decode("latin-1")
        self._header_name.clear()
        self._header_value.clear()

    def _headers_finished(self) -> None:
        _kind, options = parse_options_header(self._disposition)
        self._field = options.get(b"name", b"").decode(errors="replace")
        if self._field == _FILE_FIELD:
            if self._has_file:
                raise InvalidInput(f"the form has the field '{_FILE_FIELD}' twice")
            self._has_file = True
        elif self._field in _TEXT_FIELDS:
            if self._field in self._texts:
                raise InvalidInput(f"the form has the field '{self._field}' twice")
            self._texts[self._field] = bytearray()

    def _part_data(self, data: bytes, start: int, end: int) -> None:
        if self._field == _FILE_FIELD:
            if self._file.size_bytes + end - start > self._max_file_bytes:
                raise InvalidInput(
                    f"the file is larger than the {self._max_file_bytes} bytes"
                    " that an upload may have"
                )
            self._file.write(memoryview(data)[start:end])
        elif self._field in self._texts:
            text = self._texts[self._field]
            text += data[start:end]
            if len(text) > _MAX_TEXT_BYTES:
                raise InvalidInput(f"the field '{self._field}' is longer than it can be")

    def _part_end(self) -> None:
        if self._field == "format" and self.image_format not in self._formats:
            raise InvalidInput(
                f"invalid value for 'format': use {' or '.join(self._formats)}", field="format"
            )
        if self._field == "checksum":
            self._declared_checksum()  # a wrong one is told before gigabytes have been sent

    def _end(self) -> None:
        self._ended = True


def _malformed(error: Exception) -> InvalidInput:
    return InvalidInput(f"the multipart form is malformed: {error}")
