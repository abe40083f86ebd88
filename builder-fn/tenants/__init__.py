"""Tells who asks, and what of the builder is theirs: the tenants, by a file that the operator mounts.

askers        all who may ask: the holders of payload secrets and those that the file names
principal     one who asks, made where a signature is checked and passed to all that comes after
tenants_file  the file, read again when it changes
parsing       the file's content, judged
reading       values in it, each read or refused by its place
tenant        one tenant, with its limits
policy        what builds may use
restrictions  what one build is held to, and its refusals explained
source_rules  a policy as rules for the daemon
source_patterns   patterns of the places that sources come from
patterns      patterns of images' names
platforms     platforms by one name each
dockerfile_lines  the line that names a source
"""

from .askers import Askers
from .principal import NOBODY, Principal
from .restrictions import Restrictions
from .tenant import Limits, Tenant, least

__all__ = ["NOBODY", "Askers", "Limits", "Principal", "Restrictions", "Tenant", "least"]
