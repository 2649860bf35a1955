# SPDX-License-Identifier: Apache-2.0
"""What can be told of a guest's display in the portal's viewer."""

from __future__ import annotations

from playwright.sync_api import Page


def lit_pixels(page: Page) -> int:
    """How many pixels of the display are not dark."""
    script = """() => {
      const canvas = document.querySelector('canvas');
      const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
      let lit = 0;
      for (let i = 0; i < data.length; i += 4) if (data[i] + data[i+1] + data[i+2] > 150) lit++;
      return lit;
    }"""
    return int(page.evaluate(script))


def wait_for_text_on(page: Page, seconds: float = 180) -> None:
    """Wait until the guest has written to its display."""
    page.locator("canvas").first.wait_for()
    last = -1
    for _ in range(int(seconds / 3)):
        lit = lit_pixels(page)
        if lit > 500 and lit == last:
            return
        last = lit
        page.wait_for_timeout(3000)
    raise AssertionError("the display stays dark, or never comes to rest")
