"""The reference server in memory mode: the suite must pass against it, too, or it tests nothing.

`agl store` has one store. Here each path below /projects/<name> has one of its own, so that every
test starts with an empty store on either side; the application that answers is the package's.
"""

import argparse
import re

import uvicorn
from agentlightning import setup_logging
from agentlightning.store.client_server import LightningStoreServer
from agentlightning.store.memory import InMemoryLightningStore

project = re.compile(r"^/projects/([^/]+)(/.*)$")


class Projects:
    """Dispatches to a store's application by the beginning of the path."""

    def __init__(self, scan_debounce_seconds: float) -> None:
        self.scan_debounce_seconds = scan_debounce_seconds
        self.apps = {}

    def app_of(self, name: str):
        if name not in self.apps:
            # The package's watchdog rests for ten seconds by default; the suite does not wait.
            store = InMemoryLightningStore(
                thread_safe=True, scan_debounce_seconds=self.scan_debounce_seconds
            )
            self.apps[name] = LightningStoreServer(store, host="127.0.0.1", port=1).app
        return self.apps[name]

    async def __call__(self, scope, receive, send) -> None:
        if scope["type"] != "http":
            return
        found = project.match(scope["path"])
        name, path = found.groups() if found else ("", scope["path"])
        inner = {**scope, "path": path, "raw_path": path.encode()}
        await self.app_of(name)(inner, receive, send)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--scan-debounce-seconds", type=float, default=0.0)
    words = parser.parse_args()
    setup_logging("ERROR")
    app = Projects(words.scan_debounce_seconds)
    uvicorn.run(app, host="127.0.0.1", port=words.port, log_level="error", lifespan="off")


if __name__ == "__main__":
    main()
