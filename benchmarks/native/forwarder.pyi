from typing import Annotated, Protocol

import lcr

@lcr.interface("forwarder", version=1)
class Forwarder(Protocol):
    def forward(self, count: Annotated[object, "int64_t *"]) -> Annotated[int, "int64_t"]: ...
