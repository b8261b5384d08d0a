# the instance id is the service's name -> the group takes B for a restarted A
def settings(name):
    return {"group_instance_id": "reports", "session_timeout_ms": 3_500, "heartbeat_interval_ms": 500}
