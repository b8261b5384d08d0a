from dataclasses import asdict, dataclass


@dataclass
class Settings:
    copies: int
    min_isr: int
    acks: str = "all"
    unclean: bool = False

    @classmethod
    def promise(cls, keep, write):
        return cls(min_isr=keep + 1, copies=1 + keep + write)


class Choose:
    def __call__(self, brokers, keep, write):
        chosen = Settings.promise(keep, write)
        return asdict(chosen) if chosen.copies <= brokers else None


settings = Choose()
