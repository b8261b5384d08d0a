"""Four requests that kafka-python 3.0.12 lacks: describe and heartbeat of KIP-848 and of share groups.

Each JSON file has the fields and types of Kafka's protocol guide, for the one version that the lab uses.
"""

import sys

from kafka.protocol.api_message import ApiMessage

HERE = sys.modules[__name__]


class ConsumerGroupDescribeRequest(ApiMessage, load_json=HERE):
    """KIP-848, key 69."""


class ConsumerGroupDescribeResponse(ApiMessage, load_json=HERE):
    """KIP-848, key 69."""


class ConsumerGroupHeartbeatRequest(ApiMessage, load_json=HERE):
    """KIP-848, key 68."""


class ConsumerGroupHeartbeatResponse(ApiMessage, load_json=HERE):
    """KIP-848, key 68."""


class ShareGroupDescribeRequest(ApiMessage, load_json=HERE):
    """KIP-932, key 77."""


class ShareGroupDescribeResponse(ApiMessage, load_json=HERE):
    """KIP-932, key 77."""


class ShareGroupHeartbeatRequest(ApiMessage, load_json=HERE):
    """KIP-932, key 76."""


class ShareGroupHeartbeatResponse(ApiMessage, load_json=HERE):
    """KIP-932, key 76."""
