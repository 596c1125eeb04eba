"""docs/getting-started.md followed step by step, and what docs/operating.md says of reloads."""
import json
import sys

import pytest
import yaml

from harness import topics, wait_for
from harness.process import free_port
from harness.rfmd import ROOT, Rfmd, binary
from harness.story import STORY_RULES, Story

sys.path.insert(0, str(ROOT / "tests" / "docs"))
from examples import Sandbox, blocks_of  # noqa: E402

pytestmark = pytest.mark.rfmd
PAGE = ROOT / "docs" / "getting-started.md"


class Shown(Rfmd):
    """`rfmd run` as the page starts it."""

    def __init__(self, sandbox: Sandbox, port: int):
        super(Rfmd, self).__init__("getting-started", sandbox.folder / "run.log")
        self.sandbox, self.port = sandbox, port

    def follow(self, script: str) -> None:
        *before, last = script.strip().splitlines()
        self.spawn(["bash", "-euc", "\n".join([*before, f"exec {last}"])], cwd=self.sandbox.folder, env=self.sandbox.environment)
        self.wait_ready()


@pytest.fixture
def shown(tmp_path, shared_broker, redis_server):
    sandbox, port = Sandbox(binary(), tmp_path), free_port()
    sandbox.environment |= {"RFMD_KAFKA__BROKERS": shared_broker.address, "RFMD_REDIS__URL": redis_server.url,
                            "RFMD_HTTP__LISTEN": f"127.0.0.1:{port}"}
    process = Shown(sandbox, port)
    yield process
    process.kill()


def test_getting_started(shown, shared_broker):
    said = []
    for line, info, content in blocks_of(PAGE.read_text()):
        if "background" in info:
            shown.follow(content)
        elif "kafka" in info.split():
            done = shown.sandbox.shell(content)
            assert done.returncode == 0, f"{PAGE.name}:{line}: {done.stderr}"
            said.append(done.stdout)
            wait_for("the events to be counted", lambda: shown.metric("rfmd_events_total") > 0, 30, 0.2, shown.log_tail)
        elif "=" not in info and "output" not in info:
            shown.sandbox.carry_out(PAGE, line, info, content)
    clients = [json.loads(line) for line in said[-1].splitlines()]
    assert len(clients) == 3 and all(client["client_id"].startswith("c") for client in clients)
    assert shown.stop() == 0
    assert {record.json["rule"] for record in topics.read_all(shared_broker.address, "triggers")} >= {"thank_you", "welcome"}


@pytest.mark.sanitizer
def test_reloads(cluster):
    live = cluster(rules=STORY_RULES).start()
    process, rules = live.processes[0], live.folder / "rules.yaml"
    before = yaml.safe_load(rules.read_text())
    story = Story(live).tell(0.2)

    def reloaded(result: str, times: int) -> None:
        wait_for(f"reload {times}, {result}", lambda: process.metrics().get(f'rfmd_reloads_total{{result="{result}"}}') == times,
                 15, 0.1, process.log_tail)

    for times in (1, 2):  # nothing but the version differs: the reference goes on
        changed = {"rules": [*before["rules"], {"name": f"never_{times}", "on": {"enter": {"segment": "prospect"}},
                                                "delay": "3650d", "topic": before["rules"][0]["topic"]}]}
        rules.write_text(yaml.safe_dump(changed))
        reloaded("taken", times)
        story.tell(0.2)
        live.wait_consumed()
    rules.write_text("rules: [{name: nothing}]\n")
    reloaded("refused", 1)
    assert process.running and "on is missing" in process.log_text()
    rules.write_text(yaml.safe_dump(before))
    story.rest().check()
