"""Serving the book: a free port, and what is watched."""

import socket

import pytest
from extension import imported

serve = imported("serve")


@pytest.fixture
def taken():
    with socket.socket() as listener:
        listener.bind((serve.HOST, 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_a_port_that_answers_is_not_free(taken):
    assert not serve.is_free(taken)


def test_the_next_free_port_is_taken(monkeypatch, capsys):
    monkeypatch.setattr(serve, "is_free", lambda port: port >= 8003)
    assert serve.free_port(8005) == 8005
    assert serve.free_port(8001) == 8003
    assert capsys.readouterr().out == "Port 8001 is taken.\nPort 8002 is taken.\n"


def test_there_is_an_end_to_the_search(monkeypatch):
    asked = []
    monkeypatch.setattr(serve, "is_free", lambda port: bool(asked.append(port)))
    with pytest.raises(SystemExit, match="No free port from 8000 to 8019"):
        serve.free_port(8000)
    assert asked == list(range(8000, 8020))


def test_text_and_figures_are_watched_and_nothing_that_a_build_writes():
    call = serve.command("root", "built/html", 8003)
    after = lambda option: [call[k + 1] for k, word in enumerate(call) if word == option]  # noqa: E731
    assert call[0] == "sphinx-autobuild"
    assert call[-2:] == ["root", "built/html"]
    assert after("--watch") == ["book", "maml_teach/widgets"]
    assert {"_build", ".venv", ".git", "*/__pycache__", "_artifacts"} <= set(after("--ignore"))
    assert (after("--port"), after("--host"), after("-b")) == (["8003"], ["127.0.0.1"], ["html"])
    assert after("-d") == ["built/.doctrees"]
    assert "--no-initial" in call
