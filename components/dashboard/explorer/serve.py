"""Start the explorer: Streamlit's server, in this process, on this machine's address only."""

from pathlib import Path
from typing import Any

from streamlit.web import bootstrap

from components.dashboard.explorer.scene import Scene, show

OPTIONS: dict[str, Any] = {
    "browser.gatherUsageStats": False,
    "client.showErrorDetails": "none",
    "client.toolbarMode": "minimal",
    "logger.level": "warning",
    "server.fileWatcherType": "none",
    "server.headless": True,
    "theme.light.primaryColor": "#1f5fbf",
    "theme.dark.primaryColor": "#8ab4f8",
}
"""Nothing leaves this machine, and no trace of an error reaches a browser."""


def serve(scene: Scene, host: str, port: int) -> None:
    """Serve the explorer until it is interrupted."""
    show(scene)
    app = str(Path(__file__).with_name("app.py"))
    flags = OPTIONS | {"server.address": host, "server.port": port}
    bootstrap.load_config_options({name.replace(".", "_"): value for name, value in flags.items()})
    bootstrap.run(app, is_hello=False, args=[], flag_options={})
