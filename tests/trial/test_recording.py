"""What a record says of the code that made it."""

import os
import subprocess

from headtohead.trial import recording


def test_the_commit_is_read_without_a_lock_on_the_checkout(tmp_path, monkeypatch):
    def git(*args):
        who = ["-c", "user.name=nobody", "-c", "user.email=nobody@example.org"]
        return subprocess.run(["git", *who, *args], cwd=tmp_path, capture_output=True, text=True, check=True).stdout

    (tmp_path / "pyproject.toml").write_text("")
    git("init", "--quiet")
    git("add", ".")
    git("commit", "--quiet", "--message=first")
    os.utime(tmp_path / "pyproject.toml", (0, 0))  # which status would note in the index, under a lock
    index = (tmp_path / ".git" / "index").read_bytes()
    monkeypatch.setattr(recording, "__file__", str(tmp_path / "headtohead" / "trial" / "recording.py"))
    commit = git("rev-parse", "--short=10", "HEAD").strip()
    assert recording.code_commit() == commit
    assert (tmp_path / ".git" / "index").read_bytes() == index
    (tmp_path / "pyproject.toml").write_text("changed")
    assert recording.code_commit() == f"{commit}-dirty"
