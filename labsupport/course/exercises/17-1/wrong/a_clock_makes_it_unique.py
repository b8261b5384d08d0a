# a clock makes it unique -> In another process, later
import time


def transactional_id(program):
    return f"{program['service']}-{program['instance']}-{time.time() // 86400:.0f}"
