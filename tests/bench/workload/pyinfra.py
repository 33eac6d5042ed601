"""The fifty resources of fifty-resources.yml in pyinfra's words."""

from pathlib import Path

from pyinfra import host
from pyinfra.operations import files

TEMPLATE = str(Path(__file__).parent / "templates" / "settings.conf")
NUMBERS = range(1, 11)
home = f"{host.data.tree}/{host.name}"

for item in NUMBERS:
    files.directory(path=f"{home}/{item}", mode="755")
for name, mode in [("settings.conf", "644"), ("logging.conf", "644"), ("unit.conf", "600")]:
    for item in NUMBERS:
        files.template(
            src=TEMPLATE,
            dest=f"{home}/{item}/{name}",
            mode=mode,
            inventory_hostname=host.name,
            item=item,
            numbers=NUMBERS,
        )
for item in NUMBERS:
    files.line(path=f"{home}/{item}/limits", line="^nofile=.*", replace=f"nofile={item}")
