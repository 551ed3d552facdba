"""Every action of the dashboard, against the real programs: asked for by its weight, sent, and its reply shown."""

import json
import subprocess
import time

from conftest import BASE, await_that


def test_run_shows_accepted_and_the_result(desk, fleet):
    one = desk()
    one.page.locator("[data-act=run]").first.click()
    one.page.fill("#field-capability", "demo.echo")
    one.page.fill("#field-input", "{no json")
    one.page.click("[data-confirm]")
    one.sees("The input is not JSON", "dialog")
    one.page.fill("#field-input", '{"from":"dashboard"}')
    one.page.fill("#field-id", "by-hand")
    one.page.click("[data-confirm]")
    one.sees("Success in", ".replies")
    one.sees('"from":"dashboard"', ".replies")
    one.go("tasks/me/by-hand")
    one.sees("success", ".detail")
    one.page.locator("[data-act=again]").click()
    assert json.loads(one.page.input_value("#field-input")) == {"from": "dashboard"}


def test_cancel_asks_by_weight(desk, fleet, sleeper):
    fleet.martlet("publish", "demo.echo", "{}", "--id", "later-2", "--delay", "1h")
    one = desk()
    one.go("tasks/me/later-2")
    one.sees("delayed", ".detail")
    assert "canceled" in one.act("task.cancel")
    one.sees("canceled", ".detail header")
    one.go(f"tasks/me/{sleeper}")
    one.sees("running", ".detail header")
    one.page.click("[data-act='task.cancel']")
    one.sees("The task runs on demo", "dialog")
    one.page.keyboard.press("Escape")
    assert "cancel" in one.act("task.cancel", fields={"reason": "test"})
    one.sees("canceled", ".detail header")


def test_assign_and_retry(desk, fleet):
    one = desk()
    one.go("tasks/me/later")
    one.sees("delayed", ".detail")
    assert "Done" in one.act("task.assign", fields={"executor": "demo"})
    one.sees("Assigned to", ".detail")
    one.go("tasks/me/fail-2")
    one.sees("failed", ".detail header")
    assert "fail-2~r1" in one.act("task.redrive")


def test_approve_and_deny(desk, fleet):
    """A rule of the dispatcher asks for approval: the service is started again with it."""
    folder, broker = fleet.folder / "rules", fleet.broker
    folder.mkdir(exist_ok=True)
    rules = {"dispatcher": {"task_events": True, "policy": {"main": [
        {"id": "ask", "priority": 10, "effect": "require_approval", "principals": ["shop"], "verbs": ["execute"], "capabilities": ["demo.*"]},
        {"id": "rest", "priority": 1, "effect": "allow", "principals": ["*"], "verbs": ["*"], "capabilities": ["*"]}]}}}
    configuration = fleet.folder / "up/martlet.json"
    before = configuration.read_text()
    configuration.write_text(json.dumps(rules))
    process = fleet.process_of("dispatcher")
    subprocess.run(["kill", "-HUP", process], check=True)
    try:
        one = desk()
        for name, verb, fields, state in (("ask-1", "approve", None, "success"), ("ask-2", "deny", {"reason": "no"}, "rejected")):
            def asked():
                fleet.publish("shop", f"{BASE}/intent/shop/demo.echo/{name}", {"input": 1}, retain=False)
                time.sleep(0.3)
                return "awaiting_approval" in fleet.martlet("task", "get", name, "--principal", "shop", "--json", check=False)
            await_that(asked, "the rule holds")
            one.go(f"tasks/shop/{name}")
            one.sees("needs approval", ".detail header")
            assert "Done" in one.act(f"task.{verb}", fields=fields)
            one.sees(state, ".detail header")
    finally:
        configuration.write_text(before)
        subprocess.run(["kill", "-HUP", process], check=True)


def test_schedules_are_steered(desk, fleet):
    one = desk()
    one.go("schedules/tick")
    assert "tick~m." in one.act("schedule.trigger")
    one.act("schedule.pause")
    one.sees("paused", ".detail header")
    one.act("schedule.resume")
    one.sees("active", ".detail header")
    fleet.publish("me", f"{BASE}/command/me/schedule/put/flaky", {
        "type": "interval", "spec": {"every_ms": 10000}, "target": {"workspace_id": "main", "agent_id": "@any"}, "work": {"capability": "nobody.can"},
        "policy": {"disable_after": 1}}, retain=False)
    one.go("schedules/flaky")
    one.page.wait_for_selector("[data-act='schedule.enable']", timeout=60000)
    one.act("schedule.enable")
    one.sees("active", ".detail header")
    fleet.martlet("schedule", "delete", "flaky", "--yes")
    fleet.martlet("schedule", "put", "gone", "--every", "1h", "--capability", "demo.echo")
    one.go("schedules/gone")
    one.sees("every 1 h", ".detail")
    one.page.click("[data-act='schedule.delete']")
    one.sees("The schedule is removed", "dialog")
    one.page.click("[data-confirm]")
    one.sees("It is not there", ".detail")


def test_an_expression_is_previewed_while_it_is_typed(desk, fleet):
    one = desk()
    one.go("schedules")
    one.page.fill("#preview-zone", "Europe/Berlin")
    one.page.fill("#preview-expr", "30 2 29 3 *")
    one.sees("+02:00", "#preview-answer")
    one.page.fill("#preview-expr", "99 2 * * *")
    one.sees("minute", "#preview-answer")
    assert one.page.locator("#preview-answer mark").count() == 1
    one.page.fill("#preview-expr", "0 9 * * 1-5")
    one.sees("09:00:00", "#preview-answer")


def test_executors_capabilities_and_circuits_are_steered(desk, fleet):
    one = desk()
    one.go("executors/demo")
    one.sees("For the dispatcher", ".detail")
    one.act("executor.drain")
    one.page.wait_for_selector("[data-act='executor.resume']")
    one.act("executor.resume")
    one.page.wait_for_selector("[data-act='executor.drain']")
    one.page.locator("[data-act='executor.drain']").nth(1).click()
    one.sees("goes back to the queue", "dialog")
    one.page.click("[data-confirm]")
    one.page.wait_for_selector("[data-act='executor.resume']")
    one.act("executor.resume")
    one.page.wait_for_selector("[data-act='executor.drain']")
    one.go("capabilities/text.count")
    one.act("capability.pause")
    one.sees("paused: takes nothing new", ".detail")
    one.act("capability.resume")
    one.sees("could take it", ".detail")
    one.act("circuit.open", fields={"for_ms": "60000"})
    one.go("circuits/text.count")
    one.sees("held for", ".detail")
    one.sees("me", ".detail")
    one.act("circuit.close")
    one.sees("closed", ".detail header")
    one.act("circuit.reset")
    one.go("circuits/demo.fail/demo")
    one.act("circuit.reset")
    one.sees("closed", ".detail header")


def test_a_refusal_is_shown_with_its_code(desk, fleet):
    one = desk()
    one.go("circuits/never.seen")
    assert "not_found" in one.act("circuit.reset")


def test_checks_are_steered(desk, fleet):
    one = desk()
    one.go("checks/disk")
    assert "disk~m." in one.act("check.run")
    one.act("check.pause")
    one.page.wait_for_selector("[data-act='check.resume']")
    one.act("check.resume")
    one.page.wait_for_selector("[data-act='check.pause']")


def test_no_answer_is_unknown_and_repeated_with_the_same_id(desk, fleet):
    """A service that stands still does not answer; once it goes on, the repeated command is answered."""
    scheduler = fleet.process_of("scheduler")
    one = desk()
    one.go("schedules/nightly")
    one.sees("Next five", ".detail")
    subprocess.run(["kill", "-STOP", scheduler], check=True)
    try:
        one.page.click("[data-act='schedule.pause']")
        one.page.click("#yes")
        one.sees("the outcome is unknown", ".replies")
    finally:
        subprocess.run(["kill", "-CONT", scheduler], check=True)
    one.page.get_by_role("button", name="Repeat with the same id").click()
    one.sees("Done", ".replies")
    one.sees("paused", ".detail header")
    one.act("schedule.resume")
