from typing import Annotated, Protocol

import lcr

@lcr.interface("ticker", version=1)
class Ticker1(Protocol):
    def tick(self, count: Annotated[object, "int64_t *"]) -> Annotated[int, "int64_t"]: ...

@lcr.interface("ticker", version=2)
class Ticker2(Protocol):
    def tick(self, count: Annotated[object, "int64_t *"]) -> Annotated[int, "int64_t"]: ...
