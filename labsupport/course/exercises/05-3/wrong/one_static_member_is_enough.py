# one static member is enough -> A was restarted, and B had to give up
def settings(name):
    chosen = {"session_timeout_ms": 3_500, "heartbeat_interval_ms": 500}
    return chosen | {"group_instance_id": "B"} if name == "B" else chosen
