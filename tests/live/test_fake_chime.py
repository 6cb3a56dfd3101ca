"""fake_chime.py refuses what AWS's own description of the services does not have."""

import json
import unittest

from fake_chime import Api, Refused, validate

USER = {"AppInstanceArn": "arn:aws:chime:us-east-1:111122223333:app-instance/a", "AppInstanceUserId": "u"}
USER |= {"Name": "n", "ClientRequestToken": "token"}
API = Api()


def read(method, target, body=(), bearer=None):
    return API.read(method, target, {"x-amz-chime-bearer": bearer}, json.dumps(dict(body)))


class Requests(unittest.TestCase):
    def test_path_query_header_and_body_become_the_parameters_of_the_operation(self):
        operation, parameters = read("GET", "/channels/arn%3Aa/messages/m?scope=message-status", bearer="arn:b")
        self.assertEqual(operation.name, "GetChannelMessageStatus")
        self.assertEqual(parameters, {"ChannelArn": "arn:a", "MessageId": "m", "ChimeBearer": "arn:b"})
        operation, parameters = read("POST", "/app-instance-users", USER)
        self.assertEqual((operation.name, parameters), ("CreateAppInstanceUser", USER))

    def test_requests_that_the_description_does_not_have_are_refused(self):
        short = {name: value for name, value in USER.items() if name != "Name"}
        for method, target, body, named in [
            ("POST", "/app-instance-users", short, "Name"),
            ("POST", "/app-instance-users", USER | {"Name": 1}, "Name"),
            ("POST", "/app-instance-users", USER | {"Nickname": "n"}, "Nickname"),
            ("GET", "/app-instances?max=1", {}, "max"),
            ("PATCH", "/app-instances", {}, "not an operation"),
        ]:
            with self.subTest(named), self.assertRaisesRegex(Refused, named):
                read(method, target, body)

    def test_a_response_of_another_shape_is_refused(self):
        operation, _ = read("POST", "/app-instance-users", USER)
        with self.assertRaisesRegex(Refused, "Unknown parameter"):
            validate({"AppInstanceUser": "arn:aws:chime"}, operation.output_shape)


if __name__ == "__main__":
    unittest.main()
