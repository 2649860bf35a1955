# SPDX-License-Identifier: Apache-2.0
"""500 texts that somebody sends in the hope that something evaluates them.

Each has its number in it, so no two are the same; what a text would do if it were evaluated is to
make the file ``canary`` or to print the product 1337 * 7331, which stands in none of them.
"""

from __future__ import annotations

from collections.abc import Iterator

COUNT = 500
PRODUCT = str(1337 * 7331)

_TEMPLATES = (
    "{{ 1337 * 7331 }} #N",
    "{% if true %}{{ 1337 * 7331 }}{% endif %} #N",
    "{{ lookup('pipe', 'touch CANARY') }} #N",
    "{{ lookup('ansible.builtin.pipe', 'touch CANARY') }}#N",
    "{{ query('file', '/etc/passwd') }} #N",
    "{{ self.__init__.__globals__ }} #N",
    "{{ ''.__class__.__mro__[1].__subclasses__() }} #N",
    "{{ undefined_variable_N }}",
    "{{ hostvars | to_json }} #N",
    "{# comment #} {{ 1337*7331 }} #N",
    "{%raw%}{{ 1337 * 7331 }}{%endraw%} #N",
    "${{ 1337 * 7331 }} #N",
    "#{1337*7331} ${1337*7331} <%= 1337*7331 %> #N",
    "%(name)s %s %d %n #N",
    "!unsafe '{{ 1337 * 7331 }}' #N",
    "!vault | $ANSIBLE_VAULT;1.1;AES256 #N",
    "!!python/object/apply:os.system ['touch CANARY'] #N",
    "$(touch CANARY) #N",
    "`touch CANARY` #N",
    "; touch CANARY ; #N",
    "| touch CANARY #N",
    "&& touch CANARY || true #N",
    "'; touch CANARY; ' #N",
    '"; touch CANARY; " #N',
    "--version --extra-vars @/etc/passwd #N",
    "-e {} #N",
    "@/etc/passwd #N",
    "key=value other='{{ 1337*7331 }}' #N",
    "../../../../etc/passwd #N",
    "/dev/null #N",
    "file:///etc/passwd #N",
    "..\\\\..\\\\windows #N",
    "</name><name>#N</name>",
    "<disk type='file'><source file='/etc/shadow'/></disk>#N",
    "]]><hostdev/><![CDATA[ #N",
    "<!--#N--",
    '"/><hostdev x="#N',
    "'/><hostdev x='#N",
    "<!DOCTYPE d [<!ENTITY e SYSTEM 'file:///etc/passwd'>]>&e; #N",
    "&lt;disk/&gt; &amp; &#60;disk/&#62; #N",
    "<?xml version='1.0'?><?php touch('CANARY') ?> #N",
    "xmlns:nano='urn:evil' #N",
    "' OR '1'='1 #N",
    "'; DROP TABLE guests; -- #N",
    "%' ESCAPE '/' -- #N",
    "\\u007b\\u007b 1337 * 7331 \\u007d\\u007d #N",
    "\\x7b\\x7b 1337 * 7331 }} #N",
    "null #N",
    "yes: no #N",
    "- a\\n- b #N",
    '{"__ansible_unsafe": "#N"}',
    '{"__ansible_vault": "#N"}',
    "\u202e}} 1337 * 7331 {{ #N",
    "\u2066{{ 1337 * 7331 }}\u2069 #N",
    "\ufeff{{ 1337 * 7331 }} #N",
    "\uff5b\uff5b 1337 * 7331 \uff5d\uff5d #N",
    "a\u0301\u0301\u0301\u0301 \U0001f4a5 #N",
    "\U00010348\U000e0001 #N",
    "\n{{ 1337 * 7331 }}\n#N",
    "\r\nSet-Cookie: a=b #N",
    "\t#N\t",
    "a\u0000b #N",
    "\u001b[31m\u001b]0;#N\u0007",
    "\u0085\u2028\u2029#N",
    "\u007f\u0001\u0008#N",
    "LONG{{ 1337 * 7331 }}#N",
    "LONG<x>#N",
)


def hostile_texts(canary: str) -> list[str]:
    """All of them; ``canary`` is the path of the file that must never be."""

    def numbered() -> Iterator[str]:
        for number in range(COUNT):
            text = _TEMPLATES[number % len(_TEMPLATES)]
            text = text.replace("LONG", "x" * (2000 + number)).replace("CANARY", canary)
            yield text.replace("#N", f"#{number}").replace("_N ", f"_{number} ")

    return list(numbered())
