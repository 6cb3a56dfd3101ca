"""What scripts/live-check compares, records and prints, without a network. Run with `python -m unittest discover`."""

import io
import json
import pathlib
import socket
import tempfile
import unittest
import zipfile

from script import live

HEX = "0123456789abcdef" * 4


class Differences(unittest.TestCase):
    def test_members_that_differ_are_named_with_both_values(self):
        fake = {"chime": {"httpStatus": 404, "error": "NotFoundException", "same": 1}}
        chime = {"chime": {"httpStatus": 403, "same": 1, "value": "SENT"}}
        found = live.differences(fake, chime)
        self.assertEqual(
            found,
            [
                ("chime, httpStatus", 404, 403),
                ("chime, error", "NotFoundException", None),
                ("chime, value", None, "SENT"),
            ],
        )

    def test_measured_values_texts_and_other_headers_are_not_compared(self):
        fake = {"measured": {"milliseconds": 1}, "chime": {"text": "a", "otherHeaders": ["a"]}}
        chime = {"measured": {"milliseconds": 2}, "chime": {"text": "b", "otherHeaders": []}}
        self.assertEqual(live.differences(fake, chime), [])

    def test_a_check_that_the_fake_never_saw_differs_in_each_value(self):
        self.assertEqual(live.differences(None, {"chime": {"error": "X"}}), [("chime, error", None, "X")])


class Anonymize(unittest.TestCase):
    def test_known_ids_get_their_names_and_unknown_ones_the_name_of_their_kind(self):
        names = {"111122223333": "ACCOUNT", "alice-id": "ALICE"}
        for text, expected in [
            ("arn:aws:chime:us-east-1:111122223333:app-instance/a/user/alice-id",
             "arn:aws:chime:us-east-1:ACCOUNT:app-instance/a/user/ALICE"),
            ("request 1F9AD61B-9C3B-4B1A-8A54-5A4F7D8E2C10", "request UUID"),
            (f"Message {HEX} was not found", "Message HEX was not found"),
            ("in account 999988887777", "in account ACCOUNT"),
            ("since 2026-11-30T22:59:00.123Z", "since TIME"),
            ("Bearer eyJhbGciOi.eyJzdWIi.c2ln", "Bearer TOKEN"),
            ("SENT after 3 s, see RFC 9457", "SENT after 3 s, see RFC 9457"),
        ]:  # fmt: skip
            with self.subTest(text):
                self.assertEqual(live.anonymize({"list": [text]}, names), {"list": [expected]})


class FromGateway(unittest.TestCase):
    def test_statuses_are_counted_problems_named_and_ids_left_out(self):
        problem = {"type": f"{live.PROBLEM}message-gone", "requestId": "r", "detail": "…"}
        failed = {"messageId": HEX, "status": "FAILED", "detail": "why"}
        for body, expected in [
            (failed, {"statuses": {"FAILED": 1}, "details": ["why"]}),
            (problem, {"problem": "message-gone"}),
            ({"results": [failed, failed, {"messageId": HEX, "problem": problem}]},
             {"statuses": {"FAILED": 2, "message-gone": 1}, "details": ["why"]}),
            ({"message": "Unauthorized"}, {"text": '{"message": "Unauthorized"}'}),
        ]:  # fmt: skip
            with self.subTest(body):
                seen = live.from_gateway(200, {}, json.dumps(body))
                self.assertEqual(seen, {"httpStatus": 200, "headers": {}, "otherHeaders": []} | expected)

    def test_a_body_that_is_not_json_is_text(self):
        self.assertEqual(live.from_gateway(502, {}, "<html>")["text"], "<html>")

    def test_headers_keep_their_value_only_if_a_client_reads_them(self):
        seen = live.headers_of({"Content-Type": "a/b", "Retry-After": "7", "X-Amzn-RequestId": "an id"})
        self.assertEqual(seen["headers"], {"content-type": "a/b", "retry-after": "a number"})
        self.assertEqual(seen["otherHeaders"], ["x-amzn-requestid"])


class Reports(unittest.TestCase):
    def test_an_init_duration_makes_a_cold_start(self):
        def line(**metrics):
            return json.dumps({"type": "platform.report", "record": {"metrics": metrics}})

        lines = [line(durationMs=2.5, initDurationMs=50.0), line(durationMs=2.0), line(durationMs=1.5)]
        self.assertEqual(live.reports_of(lines), {"cold": [{"init": 50.0, "duration": 2.5}], "warm": [1.5, 2.0]})


class Code(unittest.TestCase):
    def test_a_template_whose_code_is_not_built_is_refused(self):
        with tempfile.TemporaryDirectory() as folder:
            pathlib.Path(folder, "template.yaml").write_text("      CodeUri: .\n")
            with self.assertRaisesRegex(live.SetupFailed, "sam build"):
                live.code_of(pathlib.Path(folder))

    def test_the_folder_that_sam_build_writes_is_zipped_with_an_executable_bootstrap(self):
        with tempfile.TemporaryDirectory() as folder:
            built = pathlib.Path(folder)
            (built / "template.yaml").write_text("a: 1\n      CodeUri: MessageStatusFunction\n")
            (built / "MessageStatusFunction").mkdir()
            (built / "MessageStatusFunction/bootstrap").write_bytes(b"binary")
            text, archive = live.code_of(built)
        self.assertEqual(text, "a: 1\n      CodeUri: CODE\n")
        [entry] = zipfile.ZipFile(io.BytesIO(archive)).infolist()
        self.assertEqual((entry.filename, entry.external_attr >> 16), ("bootstrap", 0o100755))


def frame(opcode, data, last=True):
    size = bytes([len(data)]) if len(data) < 126 else b"\x7e" + len(data).to_bytes(2)
    return bytes([opcode | (0x80 if last else 0)]) + size + data


def event(kind, payload):
    return json.dumps({"Headers": {"x-amz-chime-event-type": kind}, "Payload": json.dumps(payload)}).encode()


class WebSocketFrames(unittest.TestCase):
    def setUp(self):
        ours, self.chime = socket.socketpair()
        self.addCleanup(ours.close)
        self.addCleanup(self.chime.close)
        self.socket = live.WebSocket.__new__(live.WebSocket)
        self.socket.connection, self.socket.buffer = ours, b""

    def test_events_are_read_up_to_the_last_wanted_one_in_parts_too(self):
        long = event("A", {"text": "x" * 300})
        self.chime.sendall(frame(1, long[:100], last=False) + frame(0, long[100:]) + frame(1, event("B", None)))
        found = self.socket.events(5, lambda kind, _: kind == "B")
        self.assertEqual(found, [("A", {"text": "x" * 300}), ("B", None)])

    def test_a_ping_is_answered_with_its_data_masked(self):
        self.chime.sendall(frame(9, b"hi") + frame(1, event("A", {})))
        self.socket.events(5, lambda *_: True)
        head, mask, data = (pong := self.chime.recv(100))[:2], pong[2:6], pong[6:]
        self.assertEqual((head, bytes(a ^ b for a, b in zip(data, mask))), (b"\x8a\x82", b"hi"))

    def test_a_close_frame_is_an_error_with_its_code(self):
        self.chime.sendall(frame(8, (4401).to_bytes(2)))
        with self.assertRaisesRegex(ConnectionError, "4401"):
            self.socket.events(5, lambda *_: True)


if __name__ == "__main__":
    unittest.main()
