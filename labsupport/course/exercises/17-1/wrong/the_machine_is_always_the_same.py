# the machine is always the same -> on another machine
import socket


def transactional_id(program):
    return "-".join((program["service"], str(program["instance"]), socket.gethostname()))
