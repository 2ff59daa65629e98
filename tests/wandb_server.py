"""A stand-in for the W&B server on the loopback, so that tests drive the real ``wandb`` without a network.

It knows just what the suite makes the client ask for: sweeps over grids and their agents, runs with their history,
summary, log and files, and reading them back. What it keeps stands in plain dicts, for tests to look at.
"""

from __future__ import annotations

import base64
import gzip
import itertools
import json
import re
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import quote, unquote

import yaml

KEY = "0123456789abcdef" * 2 + "01234567"  # 40 characters, as wandb wants them
ENTITY = "me"
PROJECT = "things"


class Server:
    """What a W&B server would remember."""

    def __init__(self) -> None:
        self.sweeps: dict[str, dict[str, Any]] = {}
        self.runs: dict[str, dict[str, Any]] = {}  # by W&B's id of a run, which it calls name
        self.agents: dict[str, str] = {}  # the sweep of each agent
        self.files: dict[tuple[str, str], bytes] = {}  # by run and name
        self.commands: list[dict[str, Any]] = []  # given to agents
        self.asked: list[str] = []  # names of the queries
        self.unknown: list[str] = []
        self.broken = False  # answer every request with an error of the server
        self.lock = threading.RLock()
        self.url = ""

    def environment(self, **more: str) -> dict[str, str]:
        """Return the variables with which wandb finds this server and is logged in."""
        return {"WANDB_BASE_URL": self.url, "WANDB_API_KEY": KEY, "WANDB_MODE": "online", **more}

    def run_named(self, name: str) -> dict[str, Any]:
        """Return the run that is shown under ``name``."""
        (run,) = (run for run in self.runs.values() if run["displayName"] == name)
        return run

    # What is asked by GraphQL

    def answer(self, query: str, variables: dict[str, Any]) -> dict[str, Any]:
        """Answer a query by its name."""
        found = re.search(r"(?:query|mutation)\s+(\w+)", query)
        name = found[1] if found else query[:40]
        self.asked.append(name)
        method = getattr(self, f"_{name}", None)
        if method is None:
            self.unknown.append(name)
            return {}
        return method(variables)

    def _viewer(self, _: dict[str, Any]) -> dict[str, Any]:
        user = {"id": "user", "name": ENTITY, "username": ENTITY, "email": "me@localhost", "admin": False}
        none: dict[str, Any] = {"edges": []}
        return {"viewer": {**user, "entity": ENTITY, "flags": "{}", "deletedAt": None, "apiKeys": none, "teams": none}}

    _Viewer = _GetViewer = _GetDefaultEntity = _viewer

    def _ServerFeaturesQuery(self, _: dict[str, Any]) -> dict[str, Any]:
        return {"serverInfo": {"features": []}}

    def _UpsertSweep(self, asked: dict[str, Any]) -> dict[str, Any]:
        config = yaml.safe_load(asked["config"])
        name = f"sweep{len(self.sweeps):03}"
        specs = config["parameters"].items()
        axes = [[(key, value) for value in spec.get("values", [spec.get("value")])] for key, spec in specs]
        points = [{key: {"value": value} for key, value in point} for point in itertools.product(*axes)]
        self.sweeps[name] = {
            "config": asked["config"],
            "project": asked["projectName"] or PROJECT,
            "todo": deque({"type": "run", "program": config["program"], "args": point} for point in points),
            "count": len(points),
        }
        return {"upsertSweep": {"sweep": {"name": name, "project": _project(self.sweeps[name]["project"])}}}

    def _SweepWithRuns(self, asked: dict[str, Any]) -> dict[str, Any]:
        sweep = self._sweep(asked["sweep"])
        return {"project": {"sweep": sweep and {**sweep, "runs": {"edges": []}}}}

    def _GetSweep(self, asked: dict[str, Any]) -> dict[str, Any]:
        return {"project": {"sweep": self._sweep(asked["name"])}}

    _GetSweepLegacy = _GetSweep

    def _sweep(self, name: str) -> dict[str, Any] | None:
        if name not in self.sweeps:
            return None
        sweep = self.sweeps[name]
        return {
            "__typename": "Sweep", "id": name, "name": name, "displayName": None, "method": "grid", "state": "RUNNING",
            "description": None, "bestLoss": None, "config": sweep["config"], "createdAt": _now(), "updatedAt": _now(),
            "runCount": len([run for run in self.runs.values() if run["sweepName"] == name]),
            "runCountExpected": sweep["count"],
        }  # fmt: skip

    def _CreateAgent(self, asked: dict[str, Any]) -> dict[str, Any]:
        name = f"agent{len(self.agents)}"
        self.agents[name] = asked["sweep"]
        return {"createAgent": {"agent": {"id": name}}}

    def _Heartbeat(self, asked: dict[str, Any]) -> dict[str, Any]:
        commands: list[dict[str, Any]] = []
        name = self.agents[asked["id"]]
        mine = [run for run in self.runs.values() if run["sweepName"] == name]
        if not json.loads(asked["runState"]):
            todo = self.sweeps[name]["todo"]
            for given in (command["run_id"] for command in self.commands if command["agent"] == asked["id"]):
                if self.runs[given]["state"] == "pending" and not self.runs[given]["starts"]:
                    self.runs[given]["state"] = "crashed"  # it ended before it was heard of
            if todo:
                command = todo.popleft()
                command.setdefault("run_id", f"run{len(self.commands):05}")
                self._run(command["run_id"], name, self.sweeps[name]["project"])
                self.commands.append({**command, "agent": asked["id"]})
                commands.append(command)
            elif all(run["state"] not in ("pending", "running") for run in mine):
                commands.append({"type": "exit"})
        stopped = [run["name"] for run in mine if run["stopped"] and run["name"] in json.loads(asked["runState"])]
        commands += [{"type": "stop", "run_id": run} for run in stopped]
        return {"agentHeartbeat": {"agent": {"id": asked["id"]}, "commands": json.dumps(commands)}}

    def _run(self, name: str, sweep: str | None, project: str) -> dict[str, Any]:
        new = {
            "id": f"id-{name}", "name": name, "displayName": name, "project": project, "sweepName": sweep,
            "state": "pending", "config": "{}", "summaryMetrics": "{}", "group": None, "jobType": None, "tags": [],
            "history": [], "log": "", "preempting": False, "stopped": False, "starts": 0, "exitcode": None,
        }  # fmt: skip
        return self.runs.setdefault(name, new)

    def _UpsertBucket(self, asked: dict[str, Any]) -> dict[str, Any]:
        name = asked.get("name") or (asked["id"] or "").removeprefix("id-")
        inserted = name not in self.runs or self.runs[name]["state"] == "pending"
        run = self._run(name, asked.get("sweep"), asked.get("project") or PROJECT)
        names = {"displayName": "displayName", "groupName": "group", "jobType": "jobType", "tags": "tags"}
        names |= {"config": "config", "summaryMetrics": "summaryMetrics", "sweep": "sweepName"}
        run |= {mine: asked[theirs] for theirs, mine in names.items() if asked.get(theirs)}
        if run["state"] != "running" and asked.get("project"):
            run |= {"state": "running", "preempting": False, "starts": run["starts"] + 1}
        lines = len(run["history"])
        bucket = {key: run[key] for key in ("id", "name", "displayName", "config", "sweepName")}
        bucket |= {"description": None, "project": _project(run["project"]), "historyLineCount": lines}
        return {"upsertBucket": {"bucket": bucket, "inserted": inserted}}

    def _RunResumeStatus(self, asked: dict[str, Any]) -> dict[str, Any]:
        run = self.runs.get(asked["name"])
        model = {"id": "project", "name": asked["project"], "entity": {"id": "entity", "name": ENTITY}, "bucket": None}
        if run and run["starts"]:
            tail = json.dumps([json.dumps(line) for line in run["history"][-1:]])
            bucket = {key: run[key] for key in ("id", "name", "displayName", "config", "summaryMetrics", "tags")}
            counts = {"logLineCount": run["log"].count("\n"), "historyLineCount": len(run["history"])}
            tails = {"historyTail": tail, "eventsLineCount": 0, "eventsTail": "[]"}
            config = json.dumps({"t": 1})
            model["bucket"] = {**bucket, **counts, **tails, "notes": None, "wandbConfig": config}
        return {"model": model}

    def _RunState(self, asked: dict[str, Any]) -> dict[str, Any]:
        run = self.runs.get(asked.get("run") or asked["name"])
        return {"project": {"run": run and {key: run[key] for key in ("id", "state", "stopped")}}}

    _RunStoppedStatus = _RunState

    def _Run(self, asked: dict[str, Any]) -> dict[str, Any]:
        run = self.runs.get(asked["name"])
        return {"project": {"run": run and _node(run)}}

    def _Runs(self, asked: dict[str, Any]) -> dict[str, Any]:
        keys = {"sweep": "sweepName", "group": "group", "tags": "tags"}
        wanted = {keys[key]: value for key, value in json.loads(asked["filters"]).items()}
        projects = {thing["project"] for thing in (*self.runs.values(), *self.sweeps.values())}
        if asked["project"] not in projects:
            return {"project": None}
        runs = [run for run in self.runs.values() if run["project"] == asked["project"]]
        runs = [
            run
            for run in runs
            if all(value in run[key] if key == "tags" else run[key] == value for key, value in wanted.items())
        ]
        start = int(asked.get("cursor") or 0)
        page = runs[start : start + asked["perPage"]]
        edges = [{"node": _node(run), "cursor": str(start + i + 1)} for i, run in enumerate(page)]
        more = {"endCursor": str(start + len(page)), "hasNextPage": start + len(page) < len(runs)}
        shown = {"runs": {"edges": edges, "pageInfo": more}, "runCount": len(runs), "internalId": "1"}
        return {"project": {**shown, "readOnly": False}}

    def _RunFiles(self, asked: dict[str, Any]) -> dict[str, Any]:
        kept = [name for run, name in self.files if run == asked["name"]]
        kept = [name for name in kept if not asked["fileNames"] or name in asked["fileNames"]]
        edges = [{"node": self._file(asked["name"], name), "cursor": str(i)} for i, name in enumerate(kept)]
        files = {"edges": edges, "pageInfo": {"endCursor": None, "hasNextPage": False}}
        return {"project": {"internalId": "1", "run": {"fileCount": len(kept), "files": files}}}

    def _file(self, run: str, name: str) -> dict[str, Any]:
        url = self._storage(run, name)
        facts = {"sizeBytes": len(self.files[run, name]), "mimetype": "", "updatedAt": _now(), "md5": ""}
        return {"id": name, "name": name, "url": url, "directUrl": url, **facts}

    def _CreateRunFiles(self, asked: dict[str, Any]) -> dict[str, Any]:
        files = [{"name": name, "uploadUrl": self._storage(asked["run"], name)} for name in asked["files"]]
        return {"createRunFiles": {"runID": f"id-{asked['run']}", "uploadHeaders": [], "files": files}}

    def _ArtifactType(self, asked: dict[str, Any]) -> dict[str, Any]:
        return {"project": {"artifact": None}}

    def _CreateArtifact(self, asked: dict[str, Any]) -> dict[str, Any]:
        sequence = {"id": "sequence", "latestArtifact": None}
        artifact = {"id": f"artifact{len(self.asked)}", "state": "PENDING", "artifactSequence": sequence}
        return {"createArtifact": {"artifact": artifact}}

    def _CreateArtifactManifest(self, asked: dict[str, Any]) -> dict[str, Any]:
        file = {"id": "file", "uploadUrl": self._storage("artifacts", "manifest.json"), "uploadHeaders": []}
        return {"createArtifactManifest": {"artifactManifest": {"id": "manifest", "file": file}}}

    def _UpdateArtifactManifest(self, asked: dict[str, Any]) -> dict[str, Any]:
        return {"updateArtifactManifest": self._CreateArtifactManifest(asked)["createArtifactManifest"]}

    def _CreateArtifactFiles(self, asked: dict[str, Any]) -> dict[str, Any]:
        edges = []
        for file in asked["input"]["artifactFiles"]:
            where = {"storagePath": file["name"], "uploadUrl": self._storage("artifacts", file["name"])}
            how = {"uploadHeaders": [], "uploadMultipartUrls": None, "artifact": {"id": file.get("artifactID")}}
            edges.append({"node": {**where, **how}})
        return {"createArtifactFiles": {"files": {"edges": edges}}}

    def _CommitArtifact(self, asked: dict[str, Any]) -> dict[str, Any]:
        return {"commitArtifact": {"artifact": {"id": asked["artifactID"], "digest": ""}}}

    def _storage(self, run: str, name: str) -> str:
        return f"{self.url}/storage/{quote(run)}/{quote(name)}"

    # What a run streams

    def stream(self, name: str, sent: dict[str, Any]) -> dict[str, Any]:
        """Take in what a run has sent of its history, summary and log, and whether it has ended."""
        run = self.runs[name]
        for file, part in (sent.get("files") or {}).items():
            lines = part["content"]
            if file == "wandb-history.jsonl":
                run["history"][part["offset"] :] = [json.loads(line) for line in lines]
            elif file == "wandb-summary.json" and lines:
                run["summaryMetrics"] = lines[-1]
            elif file == "output.log":
                run["log"] += "".join(f"{line}\n" for line in lines)
        run["preempting"] |= bool(sent.get("preempting"))
        if sent.get("complete"):
            run["exitcode"] = sent["exitcode"]
            again = bool(sent["exitcode"]) and run["preempting"]
            run["state"] = "preempted" if again else "failed" if sent["exitcode"] else "finished"
            for command in [command for command in self.commands if again and command["run_id"] == name][:1]:
                run["state"] = "pending"  # the next agent that has nothing to do gets it
                self.sweeps[run["sweepName"]]["todo"].appendleft({**command, "type": "resume"})
        return {"stopped": run["stopped"]}


class _Handler(BaseHTTPRequestHandler):
    server: Any
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        state: Server = self.server.state
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        sent = base64.b64decode(self.headers.get("Authorization", "").removeprefix("Basic "))
        if state.broken:
            return self._send(500, b"out of order")
        if sent.decode(errors="replace") != f"api:{KEY}":
            return self._send(401, b'{"errors": [{"message": "user is not logged in"}]}')
        asked = json.loads(body)
        with state.lock:
            if self.path == "/graphql":
                answer = {"data": state.answer(asked["query"], asked.get("variables") or {})}
            else:
                run = re.search(r"/files/[^/]+/[^/]+/([^/]+)/file_stream", self.path)
                answer = state.stream(run[1], asked) if run else {}
        self._send(200, json.dumps(answer).encode())

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        _, _, run, name = self.path.split("/", 3)
        with self.server.state.lock:
            self.server.state.files[unquote(run), unquote(name)] = body
        self._send(200, b"")

    def do_GET(self) -> None:
        kept = self.server.state.files.get(tuple(unquote(part) for part in self.path.split("/", 3)[2:]))
        self._send(404 if kept is None else 200, kept or b"")

    def _send(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Keep quiet."""


def _project(name: str) -> dict[str, Any]:
    return {"id": "project", "name": name, "entity": {"id": "entity", "name": ENTITY}}


def _node(run: dict[str, Any]) -> dict[str, Any]:
    keys = ("id", "tags", "name", "displayName", "sweepName", "state", "config", "group", "jobType", "summaryMetrics")
    empty = dict.fromkeys(("commit", "description", "notes", "systemMetrics", "historyKeys"))
    more = {"user": {"name": ENTITY, "username": ENTITY}, "projectId": "1", "readOnly": False}
    more |= {"createdAt": _now(), "heartbeatAt": _now()}
    return {**empty, **more, **{key: run[key] for key in keys}, "historyLineCount": len(run["history"])}


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


@contextmanager
def wandb_server() -> Iterator[Server]:
    """Serve on a free port of the loopback until the block is left."""
    state = Server()
    http = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    http.daemon_threads = True
    http.state = state
    state.url = f"http://127.0.0.1:{http.server_address[1]}"
    thread = threading.Thread(target=http.serve_forever, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        http.shutdown()
        http.server_close()
