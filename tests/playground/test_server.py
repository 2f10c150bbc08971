"""A real server: labs behind their sockets, files of a page, analyses, and its end."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
import websockets
from event_loops import run

FAST = {"training.engine": "eager"}
SECONDS = 60


class Server:
    """The shell command in a process, and a client with its cookie."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        command = [sys.executable, "-m", "thalweg", "playground", "--no-browser", "--folder", str(folder), *arguments]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.address = self.process.stdout.readline().strip()
        self.base = self.address.split("/?")[0]
        cookie = httpx.get(self.address).headers["set-cookie"].split(";")[0]
        self.headers = {"origin": self.base, "cookie": cookie}
        self.client = httpx.Client(base_url=self.base, headers=self.headers, timeout=SECONDS)

    def open_lab(self, **body: object) -> str:
        answer = self.client.post("/api/labs", json={"set": FAST, **body})
        assert answer.status_code == 201, answer.text
        return answer.json()["lab"]

    @asynccontextmanager
    async def page(self, lab: str):
        address = f"{self.base.replace('http', 'ws')}/api/labs/{lab}/live"
        async with websockets.connect(address, additional_headers=self.headers, max_size=None) as opened:
            yield Page(opened)


class Page:
    """The socket of a lab, as a page uses it."""

    def __init__(self, opened) -> None:
        self.opened = opened
        self.messages: list[dict] = []
        self.frames: list[dict] = []

    async def say(self, do: str, **details: object) -> None:
        await self.opened.send(json.dumps({"do": do, **details}))

    async def until(self, holds: Callable[[Page], bool]) -> None:
        """Take messages and frames until something holds of them."""
        end = time.monotonic() + SECONDS
        while not holds(self):
            content = await asyncio.wait_for(self.opened.recv(), max(0.1, end - time.monotonic()))
            if isinstance(content, bytes):
                (length,) = struct.unpack("<I", content[:4])
                self.frames.append(json.loads(content[4 : 4 + length]))
                await self.say("ready")
            else:
                self.messages.append(json.loads(content))

    def last(self, kind: str) -> dict:
        return next((message for message in reversed(self.messages) if message["type"] == kind), {})


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    started = Server(tmp_path_factory.mktemp("runs"))
    yield started
    started.client.close()
    started.process.send_signal(signal.SIGINT)
    started.process.communicate(timeout=20)


def test_a_page_plays_pauses_steps_and_begins_again(server):
    async def visit() -> None:
        async with server.page(server.open_lab()) as page:
            await page.until(lambda page: page.frames)
            assert (page.frames[0]["step"], page.frames[0]["fresh"]) == (0, True)
            await page.say("play")
            await page.until(lambda page: page.frames[-1]["epoch"] > 2)
            await page.say("pause")
            await page.until(lambda page: page.last("state")["step"] and not page.last("state")["playing"])
            step = page.last("state")["step"]
            await page.say("step")
            await page.until(lambda page: page.last("state")["step"] == step + 1)
            await page.until(lambda page: page.frames[-1]["step"] == step + 1)
            await page.say("reset")
            await page.until(lambda page: page.frames[-1]["fresh"] and page.frames[-1]["step"] == 0)
            assert page.frames[-1]["metrics"] == page.frames[0]["metrics"]

    run(visit())


def test_a_reload_finds_the_training_and_its_curves(server):
    lab = server.open_lab()

    async def visit() -> None:
        async with server.page(lab) as page:
            await page.say("play")
            await page.until(lambda page: len(page.frames) > 5)
        async with server.page(lab) as page:
            await page.until(lambda page: page.frames and page.last("state"))
            assert page.last("state")["playing"]
            assert page.frames[0]["fresh"]
            assert page.frames[0]["arrays"][0]["shape"][0] > 5
            assert page.frames[0]["step"] > 0

    run(visit())


def test_two_tabs_are_two_trainings(server):
    async def visit() -> None:
        async with server.page(server.open_lab()) as one, server.page(server.open_lab()) as other:
            await one.say("step")
            await one.until(lambda page: page.last("state").get("step") == 1)
            await other.until(lambda page: page.frames)
            assert other.frames[-1]["step"] == 0

    run(visit())


def test_changes_by_a_page_are_made_or_refused(server):
    async def visit() -> None:
        async with server.page(server.open_lab()) as page:
            await page.say("set", place="optimizer.learning_rate", value=0.5)
            await page.until(lambda page: page.last("state").get("set", {}).get("optimizer.learning_rate") == 0.5)
            await page.say("set", place="training.batch_size", value=-1)
            await page.until(lambda page: page.last("error"))
            assert page.last("error")["place"] == "training.batch_size"
            await page.say("weight", layer=0, name="W", index=[0, 0], value=7.0)
            await page.say("view", quantity="delta", size=16)
            await page.until(lambda page: any(array["name"] == "unit.1" for array in page.frames[-1]["arrays"]))
            named = {array["name"]: array for array in page.frames[-1]["arrays"]}
            assert named["W.0"]["high"] == 7.0
            assert named["map"]["shape"] == [16, 16, 2]
            points = [[float(i % 2), float(i // 2 % 2)] for i in range(20)]
            await page.say("points", x=points, y=[i % 2 for i in range(20)])
            await page.until(lambda page: page.last("state")["rows"] == {"train": 10, "test": 10})
            await page.say("spec", spec={"data": "/etc/passwd"})
            await page.until(lambda page: page.last("error")["place"] == "data.source")
            for text in ("{", "[]", '{"do": 3}', '{"do": "nothing"}', "x" * 300_000):
                await page.opened.send(text)
            await page.say("step")
            await page.until(lambda page: page.last("state")["step"] == 1)

    run(visit())


def test_a_broken_spec_opens_with_what_can_be_kept(server):
    answer = server.client.post(
        "/api/labs", json={"spec": {"optimizer": {"kind": "sgd", "learning_rate": "x"}, "network": 5}}
    )
    opened = answer.json()
    assert answer.status_code == 201
    assert {problem["place"] for problem in opened["problems"]} >= {"optimizer.learning_rate", "network"}
    assert opened["spec"]["network"]["hidden"] == [4, 2]
    misfit = {"network": {"layers": ["dense 9", "softmax"]}}
    assert server.client.post("/api/labs", json={"spec": misfit}).json()["problems"]


def test_an_uploaded_table_is_trained_on(server):
    rows = "\n".join(f"{i},{i * i % 7},{'yes' if i % 3 else 'no'}" for i in range(60))
    file = f"a,b,answer\n{rows}\n".encode()
    sent = server.client.post("/api/uploads", content=file, headers={"x-name": "my%20table.csv"})
    assert sent.status_code == 201
    table = sent.json()
    assert [column["name"] for column in table["columns"]] == ["a", "b", "answer"]
    assert (table["rows"], table["sampled"]) == (60, None)
    body = {"set": FAST, "spec": {"data": {"source": table["source"], "target": "answer"}}}
    opened = server.client.post("/api/labs", json=body).json()
    assert opened["problems"] == []
    assert opened["state"]["classes"] == ["no", "yes"]


def test_numbers_figures_and_files_of_a_training(server):
    lab = f"/api/labs/{server.open_lab()}"

    async def step() -> None:
        async with server.page(lab.rsplit("/", 1)[1]) as page:
            await page.say("epoch")
            await page.until(lambda page: page.last("state").get("step") == 25)

    run(step())
    numbers = server.client.get(f"{lab}/step", params={"sample": 1, "weight": "0.1.2"}).json()
    assert (numbers["step"], len(numbers["rows"])) == (24, 10)
    assert "<script" not in numbers["blocks"]
    assert server.client.get(f"{lab}/step", params={"unit": "9.9"}).status_code == 422
    assert server.client.get(f"{lab}/landscape").json()["figures"][0]["data"]
    assert "[optimizer]" in server.client.get(f"{lab}/export", params={"form": "toml"}).text
    script = server.client.get(f"{lab}/export", params={"form": "python"}).text
    compile(script, "train.py", "exec")
    assert server.client.get(f"{lab}/export", params={"form": "exe"}).status_code == 422
    assert server.client.delete(lab).status_code == 204
    assert server.client.get(lab).status_code == 404


def test_ctrl_c_ends_it_within_a_second_and_frees_the_port(tmp_path):
    server = Server(tmp_path)
    server.open_lab()
    server.client.close()
    port = int(server.base.rsplit(":", 1)[1])
    children = children_of(server.process.pid)
    began = time.monotonic()
    server.process.send_signal(signal.SIGINT)
    _, errors = server.process.communicate(timeout=20)
    assert time.monotonic() - began < 1
    assert "Traceback" not in errors
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", port))
    until = time.monotonic() + 5
    while any(map(is_running, children)) and time.monotonic() < until:
        time.sleep(0.05)
    assert not any(map(is_running, children))


def children_of(process: int) -> list[int]:
    """The processes that a process has started; empty where the system does not say."""
    path = Path(f"/proc/{process}/task/{process}/children")
    return [int(child) for child in path.read_text().split()] if path.exists() else []


def is_running(process: int) -> bool:
    """Whether a process runs: one that has ended may wait for whoever asks how."""
    try:
        status = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"
