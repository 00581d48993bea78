"""The composition root: names, numbers and a steproute.toml in; models, policies, strategies and runs out."""

from steproute.config.answer import AnswerSettings
from steproute.config.embedded import PLACE_SCORER, embedded_roles, is_world, lab_roles, trim_world_roles
from steproute.config.file import ConfigFile, ProbeSettings, read_config
from steproute.config.needs import check_answers, check_needs, check_turns, turn_writers
from steproute.config.route import (
    RouteSettings,
    build_policy,
    build_strategy,
    has_shipped,
    parsed_settings,
    policy_family,
    policy_folder,
    route_named,
)
from steproute.config.run import RunConfig
from steproute.config.setup import Setup, read_setup

__all__ = [
    "PLACE_SCORER",
    "AnswerSettings",
    "ConfigFile",
    "ProbeSettings",
    "RouteSettings",
    "RunConfig",
    "Setup",
    "build_policy",
    "build_strategy",
    "check_answers",
    "check_needs",
    "check_turns",
    "embedded_roles",
    "has_shipped",
    "is_world",
    "lab_roles",
    "parsed_settings",
    "policy_family",
    "policy_folder",
    "read_config",
    "read_setup",
    "route_named",
    "trim_world_roles",
    "turn_writers",
]
