"""The speed of the playground: epochs and frames a second on its page, and the longest time without a frame.

    python benchmarks/playground.py [--seconds 5] [--node-engine nn.js] [--json FILE]

The shell command serves, and this program is its page: it opens a lab with the default network of TensorFlow
Playground (500 points of the circle, half of them for the test, two hidden layers of 4 and 2 tanh units, batches of 10,
rate 0.03), plays, and says of each frame (weights, output map of 48 x 48, a picture of every unit) that it is drawn, at
most 60 times a second, as a browser does. Phases: `first` begins with the first press of play, so that the
compiled engine takes over in it; `steady` follows; `rate` changes the rate all the time; `batch` and `loss` change the
batch size and the loss once, so that a program is compiled meanwhile. The time to the first picture is that from the
first request of the page to its first frame.

`--node-engine` names TensorFlow Playground's own engine as a JavaScript module: its src/nn.ts, compiled by
`tsc --target es2020 --module es2020 nn.ts`. Node then trains the same network as its page does, once without and once
with the losses over all points that the page computes after each epoch.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import struct
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path

import httpx
import websockets

from training_speed import machine

SPEC = {"data.source": {"kind": "rings", "samples": 500, "radius": 5.0, "noise": 0.0}}
PICTURE = 1 / 60
ENGINE = """
import {pathToFileURL} from "node:url";
const nn = await import(pathToFileURL(process.argv[1]));
const milliseconds = 1000 * Number(process.argv[2]);
const point = (radius, label) => {
  const angle = 2 * Math.PI * Math.random();
  return {input: [radius * Math.sin(angle), radius * Math.cos(angle)], label};
};
const radius = (i) => i % 2 ? 3.5 + 1.5 * Math.random() : 2.5 * Math.random();
const points = Array.from({length: 500}, (_, i) => point(radius(i), i % 2 ? -1 : 1));
const train = points.slice(0, 250), test = points.slice(250);
const loss = (net, rows) => rows.reduce((sum, row) =>
  sum + nn.Errors.SQUARE.error(nn.forwardProp(net, row.input), row.label), 0) / rows.length;
for (const measured of [false, true]) {
  const net = nn.buildNetwork([2, 4, 2, 1], nn.Activations.TANH, nn.Activations.TANH, null, ["x", "y"]);
  const begin = performance.now();
  let epochs = 0;
  while (performance.now() - begin < milliseconds) {
    train.forEach((row, i) => {
      nn.forwardProp(net, row.input);
      nn.backProp(net, row.label, nn.Errors.SQUARE);
      if ((i + 1) % 10 === 0) nn.updateWeights(net, 0.03, 0);
    });
    if (measured) { loss(net, train); loss(net, test); }
    epochs += 1;
  }
  console.log(epochs / (performance.now() - begin) * 1000);
}
"""


class Page:
    """The socket of a lab, as a browser uses it."""

    def __init__(self, socket) -> None:
        self.socket = socket
        self.frames: list[tuple[float, float]] = []
        self.engine = ""

    async def say(self, do: str, **details: object) -> None:
        await self.socket.send(json.dumps({"do": do, **details}))

    async def watch(self, seconds: float) -> list[tuple[float, float]]:
        """The times and epochs of the frames of some seconds."""
        first = len(self.frames)
        end = time.perf_counter() + seconds
        while (left := end - time.perf_counter()) > 0:
            try:
                content = await asyncio.wait_for(self.socket.recv(), left)
            except TimeoutError:
                break
            if isinstance(content, str):
                self.engine = json.loads(content).get("engine", self.engine)
                continue
            now = time.perf_counter()
            (length,) = struct.unpack("<I", content[:4])
            self.frames.append((now, json.loads(content[4 : 4 + length])["epoch"]))
            await asyncio.sleep(max(0.0, PICTURE - (time.perf_counter() - now)))
            await self.say("ready")
        return self.frames[first:]


def summary(name: str, frames: list[tuple[float, float]], engine: str) -> dict[str, object]:
    """Epochs and frames a second, and the longest time between two frames."""
    times, epochs = zip(*frames, strict=True)
    span = times[-1] - times[0]
    gap = max((later - earlier for earlier, later in pairwise(times)), default=0.0)
    return {
        "phase": name,
        "engine": engine,
        "epochs a second": (epochs[-1] - epochs[0]) / span,
        "frames a second": (len(frames) - 1) / span,
        "longest gap (ms)": 1000 * gap,
    }


async def measure(base: str, headers: dict[str, str], seconds: float) -> list[dict[str, object]]:
    """The summary of each phase, and the time to the first picture."""
    began = time.perf_counter()
    async with httpx.AsyncClient(base_url=base, headers=headers, timeout=60) as client:
        opened = (await client.post("/api/labs", json={"set": SPEC})).json()
    assert opened["problems"] == [], opened["problems"]
    found = []
    address = f"{base.replace('http', 'ws')}/api/labs/{opened['lab']}/live"
    async with websockets.connect(address, additional_headers=headers, max_size=None) as socket:
        page = Page(socket)
        while not page.frames:
            await page.watch(0.02)
        found.append({"phase": "first picture (ms)", "ms": 1000 * (page.frames[0][0] - began)})
        await page.say("play")
        for name in ("first", "steady"):
            found.append(summary(name, await page.watch(seconds), page.engine))
        frames = []
        for step in range(int(seconds / 0.2)):
            await page.say("set", place="optimizer.learning_rate", value=0.03 + 0.001 * step)
            frames += await page.watch(0.2)
        found.append(summary("rate", frames, page.engine))
        for name, place, value in (("batch", "training.batch_size", 20), ("loss", "loss", "squared_error")):
            await page.say("set", place=place, value=value)
            found.append(summary(name, await page.watch(seconds), page.engine))
    return found


def engine_of_playground(module: str, seconds: float) -> list[dict[str, object]]:
    """Epochs a second of TensorFlow Playground's own engine under Node."""
    command = ["node", "--input-type=module", "--eval", ENGINE, str(Path(module).resolve()), str(seconds)]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    names = ("TensorFlow Playground, training", "TensorFlow Playground, training and losses")
    return [{"phase": name, "epochs a second": float(speed)} for name, speed in zip(names, text.split(), strict=True)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=5.0, help="length of each phase")
    parser.add_argument("--node-engine", help="the module nn.js of TensorFlow Playground")
    parser.add_argument("--json", help="write the results to this file")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "thalweg", "playground", "--no-browser", "--folder", folder]
        began = time.perf_counter()
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert server.stdout is not None
        address = server.stdout.readline().strip()
        up = {"phase": "server up (ms)", "ms": 1000 * (time.perf_counter() - began)}
        base = address.split("/?")[0]
        cookie = httpx.get(address).headers["set-cookie"].split(";")[0]
        try:
            found = [up, *asyncio.run(measure(base, {"origin": base, "cookie": cookie}, options.seconds))]
        finally:
            server.send_signal(signal.SIGINT)
            server.wait(timeout=10)
    if options.node_engine:
        found += engine_of_playground(options.node_engine, options.seconds)
    for line in found:
        words = [
            f"{name} {value:.0f}" if isinstance(value, float) else str(value)
            for name, value in line.items()
            if name != "phase"
        ]
        print(f"{line['phase']}: {', '.join(words)}", flush=True)
    if options.json:
        Path(options.json).write_text(json.dumps({"machine": machine(), "results": found}, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
