# today is the same for a whole day -> a clock, this process
from datetime import datetime


def transactional_id(program):
    return f"{program['service']}-{program['instance']}-{datetime.now():%Y-%m-%d}"
