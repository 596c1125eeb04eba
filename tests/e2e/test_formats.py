"""The formats of inputs: what a shop sends natively and what Segment, Google Analytics and CloudEvents make of it are one state."""
import base64
import json
import re
import time

import pytest

from harness.rfmd import base_config, merged, replay, run_command, write_config
from harness.waiting import wait_for
from reference.decode import parse_time_ms, time_text

pytestmark = pytest.mark.rfmd
T0 = 1_767_225_600_000  # 2026-01-01T00:00:00Z
SHOP = "/shop"


def purchase(client: str, number: int, time_ms: int) -> dict:
    return {"type": "purchase", "id": f"{client}-p{number}", "client_id": client, "time": time_text(time_ms),
            "order_id": f"{client}-o{number}", "amount": f"{10 + number}.90", "currency": "EUR", "coupon": "NEW",
            "items": [{"sku": "s1", "category": "shoes", "quantity": 2, "price": "3.00"},
                      {"sku": "s2", "category": "hats", "quantity": 1, "price": f"{4 + number}.90"}]}


def refund(client: str, number: int, time_ms: int, amount: str | None) -> dict:
    fields = {} if amount is None else {"amount": amount, "currency": "EUR"}
    return {"type": "refund", "id": f"{client}-r{number}", "client_id": client, "time": time_text(time_ms),
            "order_id": f"{client}-o{number}", **fields}


def visit(client: str, number: int, time_ms: int) -> dict:
    return {"type": "visit", "id": f"{client}-v{number}", "client_id": client, "time": time_text(time_ms),
            "action": "view_item", "sku": "s2", "category": "hats", "page": "https://shop.example/s2"}


def story(client: str, start_ms: int = T0) -> list[dict]:
    day = 86_400_000
    return [visit(client, 1, start_ms), purchase(client, 1, start_ms + 60_000), purchase(client, 2, start_ms + 9 * day),
            refund(client, 1, start_ms + 10 * day, "4.50"), purchase(client, 3, start_ms + 20 * day),
            refund(client, 3, start_ms + 21 * day, None), visit(client, 2, start_ms + 22 * day)]


def number_of(text: str) -> float:
    return float(text)  # two decimals: printed as it was written


def as_segment(event: dict) -> dict:
    call = {"type": "track", "messageId": event["id"], "userId": event["client_id"], "anonymousId": "anyone",
            "timestamp": event["time"], "context": {"library": {"name": "of a test"}}}
    if event["type"] == "visit":
        return {**call, "event": "Product Viewed",
                "properties": {"product_id": event["sku"], "category": event["category"], "url": event["page"] + "?utm=1"}}
    sums = {"order_id": event["order_id"]}
    if "amount" in event:
        sums |= {"revenue": number_of(event["amount"]), "total": 99, "currency": event["currency"]}
    if event["type"] == "refund":
        return {**call, "event": "Order Refunded" if "amount" in event else "Order Cancelled", "properties": sums}
    products = [{"product_id": item["sku"], "category": item["category"], "quantity": item["quantity"],
                 "price": number_of(item["price"])} for item in event["items"]]
    return {**call, "event": "Order Completed", "properties": {**sums, "coupon": event["coupon"], "products": products}}


def micros(event: dict) -> int:

    return parse_time_ms(event["time"]) * 1000


def ga4_parameters(event: dict) -> tuple[str, dict, list]:
    if event["type"] == "visit":
        return "view_item", {"page_location": event["page"] + "?gclid=1"}, [
            {"item_id": event["sku"], "item_category": event["category"]}]
    parameters = {"transaction_id": event["order_id"]}
    if "amount" in event:
        parameters |= {"value": number_of(event["amount"]), "currency": event["currency"]}
    if event["type"] == "purchase":
        parameters["coupon"] = event["coupon"]
    items = [{"item_id": item["sku"], "item_category": item["category"], "price": number_of(item["price"]),
              "quantity": item["quantity"]} for item in event.get("items", [])]
    return event["type"], parameters, items


def as_export(event: dict) -> dict:
    name, parameters, items = ga4_parameters(event)
    values = [{"key": key, "value": {"double_value" if isinstance(value, float) else "string_value": value}}
              for key, value in parameters.items()]
    return {"event_date": "20260101", "event_name": name, "event_timestamp": str(micros(event)), "user_id": event["client_id"],
            "user_pseudo_id": "1.2", "event_params": values,
            "items": [{**item, "quantity": str(item.get("quantity", 1))} for item in items]}


def as_request(event: dict) -> dict:
    name, parameters, items = ga4_parameters(event)
    return {"client_id": "1.2", "user_id": event["client_id"], "timestamp_micros": micros(event),
            "events": [{"name": name, "params": {**parameters, "items": items}}]}


def split(event: dict) -> tuple[dict, dict]:
    """A cloud event's attributes and its data."""
    attributes = {"specversion": "1.0", "id": event["id"], "source": SHOP, "type": f"com.example.shop.{event['type']}.v1",
                  "time": event["time"], "subject": event["client_id"]}
    return attributes, {key: value for key, value in event.items() if key not in ("type", "id", "client_id", "time")}


def as_cloudevent(event: dict) -> dict:
    attributes, data = split(event)
    return {**attributes, "datacontenttype": "application/json", "data": data}


def as_cloudevent_base64(event: dict) -> dict:
    attributes, data = split(event)
    return {**attributes, "data_base64": base64.b64encode(json.dumps(data).encode()).decode()}


FORMATS = {"segment": [as_segment], "ga4": [as_export, as_request], "cloudevents": [as_cloudevent, as_cloudevent_base64]}
SHAPES = [(name, shape) for name, shapes in FORMATS.items() for shape in shapes]


@pytest.fixture
def config(tmp_path):
    return write_config(tmp_path / "rfmd.yaml", merged(base_config(tmp_path), {}))


def written(path, events: list[dict]):
    path.write_text("".join(json.dumps(event) + "\n" for event in events))
    return path


@pytest.mark.parametrize("name,shape", SHAPES, ids=[shape.__name__ for _, shape in SHAPES])
def test_replay_gives_the_same_state(config, tmp_path, name, shape):
    native = replay(config, [written(tmp_path / "native.ndjson", story("c1"))], tmp_path, None, "--format", "native")
    assert (json.loads(native["clients"][0])["orders"], json.loads(native["clients"][0])["revenue"]) == (3, "20.30")
    file = written(tmp_path / "other.ndjson", [shape(event) for event in story("c1")])
    for more in ((), ("--format", name), ("--format", "auto")):
        other = replay(config, [file], tmp_path, None, *more)
        assert other["dead-letters"] == [] and other["clients"] == native["clients"]


def test_replay_tells_formats_apart_line_by_line(config, tmp_path):
    """Purchases of one client in five shapes and natively are its purchases."""
    shapes = [lambda event: event, *(shape for _, shape in SHAPES)]
    events = story("c1")
    mixed = written(tmp_path / "mixed.ndjson", [shapes[i % len(shapes)](event) for i, event in enumerate(events)])
    native = written(tmp_path / "native.ndjson", events)
    assert replay(config, [mixed], tmp_path)["clients"] == replay(config, [native], tmp_path)["clients"]


def test_the_amount_of_an_order_is_configured(tmp_path):
    order = as_segment(purchase("c1", 1, T0))
    file = written(tmp_path / "e.ndjson", [order])
    for field, revenue in (("revenue", "11.90"), ("total", "99.00")):
        overrides = {"money": {"amount_field": field}}
        path = write_config(tmp_path / "rfmd.yaml", merged(base_config(tmp_path), overrides))
        assert json.loads(replay(path, [file], tmp_path)["clients"][0])["revenue"] == revenue


def test_what_is_not_for_us_is_ignored_and_counted(config, tmp_path):
    file = written(tmp_path / "e.ndjson", [{"type": "group", "groupId": "g"}, as_segment(purchase("c1", 1, T0)),
                                           {"event_name": "scroll"}, {"type": "track", "event": "Song Played"}])
    done = run_command("replay", "-c", config, "--events", file, "--dead-letters", "-")
    assert done.returncode == 0 and done.stdout == b""
    assert re.search(r"^4 events .* 0 dead letters", done.stderr.decode()) and "3 of them ignored" in done.stderr.decode()


def test_an_unknown_format_is_a_usage_error(config, tmp_path):
    done = run_command("replay", "-c", config, "--events", written(tmp_path / "e.ndjson", []), "--format", "xml")
    assert done.returncode == 2 and b"native, segment, ga4, cloudevents" in done.stderr


def binary(event: dict) -> tuple[bytes, list]:
    attributes, data = split(event)
    headers = [(f"ce_{name}", value.encode()) for name, value in attributes.items()]
    return json.dumps(data).encode(), [*headers, ("content-type", b"application/json")]


def test_live_inputs_have_formats_of_their_own(cluster):
    """Each client speaks on the input of its format; all end in one state. A key that differs is refused in each format."""
    formats = {"purchases": {"format": "segment"}, "visits": {"format": "ga4"}, "messages": {"format": "auto"}}
    live = cluster(config={"kafka": {"inputs": formats}}).start()
    start_ms = int(time.time() * 1000) // 1000 * 1000 - 30 * 86_400_000
    segment, ga4, auto = live.inputs
    writer = live.writer()
    expected = 0
    for topic, shape, client in ((segment, as_segment, "c1"), (ga4, as_export, "c2"), (ga4, as_request, "c3"),
                                 (auto, as_cloudevent, "c4"), (auto, as_segment, "c5"), (auto, lambda event: event, "c6")):
        for event in story(client, start_ms):
            writer.send(topic, client, json.dumps(shape(event)).encode())
        writer.send(topic, client + "-not", json.dumps(shape(purchase(client, 9, start_ms))).encode())
        expected += 1
    for event in story("c7", start_ms):
        value, headers = binary(event)
        writer.send(auto, "c7", value, headers=headers)
    value, headers = binary(purchase("c7", 9, start_ms))
    writer.send(auto, "c7-not", value, headers=headers)
    writer.send(segment, "c1", b'{"type": "alias", "userId": "c1"}')
    writer.send(segment, "c1", json.dumps(purchase("c1", 9, start_ms)).encode())
    writer.flush()
    live.wait_consumed()
    wait_for("the counter", lambda: live.processes[0].metric("rfmd_ignored_total") == 1, 10)
    live.settle()
    reasons = sorted(letter.header("rfmd.reason") for letter in live.dead_letters())
    assert reasons == ["unknown_type"] + ["wrong_key"] * (expected + 1)
    clients = live.clients(as_of=start_ms + 40 * 86_400_000)
    own = {"client_id": None, "segment_since": None}
    states = [{**clients[f"c{number}"], **own} for number in range(1, 8)]
    assert (states[0]["orders"], states[0]["revenue"], states[0]["visits"]) == (3, "20.30", 2)
    assert all(state == states[0] for state in states)
