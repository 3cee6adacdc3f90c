"""The picture of the local page in docs/ui.md: a search of the sample documents, in Chromium without a window.

    python bench/picture.py --output docs/ui.png

Makes a store of the sample documents, searches it once to warm up, marks the answer as useful, and takes the picture.
Needs the default model, `pip install 'vstore[test]'`, and chromium and chromedriver on the path.
"""

from __future__ import annotations

import sys

if not __package__:  # run as a file: this folder is on the path, where collections.py hides Python's own
    sys.path.insert(0, sys.path.pop(0) + "/..")

import argparse
import base64
import shutil
import struct
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bench.provenance import ROOT
from vstore import Store
from vstore.sample import corpus_folder
from vstore.ui.serve import shown

QUERY: Final = "invoice 3072 paid twice"  # the answer is second in both rankings and first when they are fused
SIZE: Final = {"width": 1200, "height": 700, "deviceScaleFactor": 1, "mobile": False}


DECODE: Final = """
const [png, done] = arguments, image = new Image();
image.onload = () => {
  const canvas = document.createElement('canvas');
  [canvas.width, canvas.height] = [image.width, image.height];
  const context = canvas.getContext('2d');
  context.drawImage(image, 0, 0);
  const bytes = context.getImageData(0, 0, image.width, image.height).data, parts = [];
  for (let at = 0; at < bytes.length; at += 30000) parts.push(String.fromCharCode(...bytes.subarray(at, at + 30000)));
  done([image.width, image.height, btoa(parts.join(''))]);
};
image.src = 'data:image/png;base64,' + png;
"""


def main() -> None:
    """Make the store, and take the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "ui.png", help="the PNG to write")
    parser.add_argument("--dark", action="store_true", help="as it looks where dark colours are preferred")
    options = parser.parse_args()
    texts = Path(tempfile.gettempdir()) / "museum"  # whose name is in the picture
    with tempfile.TemporaryDirectory() as folder, corpus_folder() as corpus:
        shutil.copytree(corpus, texts)
        with Store(Path(folder) / "museum.db") as store:
            print(f"{store.add(texts, collection='museum').added} documents")
            shutil.rmtree(texts)
            first = store.search(QUERY)[0]
            store.feedback(QUERY, first.chunk_id)
            with shown(store) as url, browser(Path(folder) / "profile", dark=options.dark) as driver:
                driver.get(url)
                page = url.partition("?")[0] + f"?q={QUERY.replace(' ', '+')}"
                for _ in range(2):  # the first search of a thread opens a connection and fills its cache
                    driver.get(page)
                options.output.write_bytes(few_colours(pixels(driver, driver.get_screenshot_as_base64())))
    print(f"{options.output}: {options.output.stat().st_size:,} bytes")


@contextmanager
def browser(profile: Path, *, dark: bool) -> Iterator[Any]:
    """Chromium with a new profile, and a window of the picture's size."""
    from selenium import webdriver  # here, so that --help needs none
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = str(shutil.which("chromium"))
    for argument in ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--user-data-dir={profile}"):
        options.add_argument(argument)
    driver = webdriver.Chrome(options=options, service=Service(executable_path=str(shutil.which("chromedriver"))))
    try:
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", SIZE)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
        yield driver
    finally:
        driver.quit()


def pixels(driver: Any, png: str) -> NDArray[np.uint8]:
    """What a PNG (in base64) shows, uint8 (height, width, 3): the browser that made it reads it, too."""
    driver.get("about:blank")
    driver.set_script_timeout(60)
    width, height, text = driver.execute_async_script(DECODE, png)
    return np.frombuffer(base64.b64decode(text), np.uint8).reshape(height, width, 4)[:, :, :3]


def few_colours(image: NDArray[np.uint8]) -> bytes:
    """A PNG with a palette: the commonest colours as they are, others as the mean of those that are like them."""
    colours, indices, counts = np.unique(image.reshape(-1, 3), axis=0, return_inverse=True, return_counts=True)
    _, kinds = np.unique(colours // 16, axis=0, return_inverse=True)
    sizes = np.bincount(kinds.ravel(), counts)
    means = np.stack([np.bincount(kinds.ravel(), counts * colours[:, at]) / sizes for at in range(3)], axis=1)
    kept = np.vstack([colours[np.argsort(-counts)[:128]], means[np.argsort(-sizes)[:128]].round().astype(np.uint8)])
    distances = ((colours[:, None, :].astype(np.int64) - kept[None, :, :]) ** 2).sum(axis=2)
    height, width, _ = image.shape
    rows = distances.argmin(axis=1).astype(np.uint8)[indices.reshape(height, width)]
    lines = np.hstack([np.zeros((height, 1), np.uint8), rows])  # a 0 before each line: no filter
    header = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)  # 8 bits, with a palette
    parts = ((b"IHDR", header), (b"PLTE", kept.tobytes()), (b"IDAT", zlib.compress(lines.tobytes(), 9)), (b"IEND", b""))
    framed = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(framed)


if __name__ == "__main__":
    main()
