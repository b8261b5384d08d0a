from dataclasses import dataclass


@dataclass(frozen=True)
class Program:
    service: str
    instance: int
    started: str
    host: str
    pid: int

    @property
    def role(self):
        return f"{self.service}|{self.instance:x}"


def transactional_id(program):
    return Program(**program).role
