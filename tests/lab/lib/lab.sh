# shellcheck shell=bash
# Everything the lab's commands are made of. Sourced, never run.
# shellcheck source-path=SCRIPTDIR source=common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
# shellcheck source-path=SCRIPTDIR source=machines.sh
source "$LAB_DIR/lib/machines.sh"
# shellcheck source-path=SCRIPTDIR source=container.sh
source "$LAB_DIR/lib/container.sh"
# shellcheck source-path=SCRIPTDIR source=vm.sh
source "$LAB_DIR/lib/vm.sh"
# shellcheck source-path=SCRIPTDIR source=registry.sh
source "$LAB_DIR/lib/registry.sh"
# shellcheck source-path=SCRIPTDIR source=inventory.sh
source "$LAB_DIR/lib/inventory.sh"
