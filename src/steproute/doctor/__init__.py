"""`steproute doctor`: asks every backend of a configuration, and says what is wrong and what to do about it."""

from steproute.doctor.examination import examine
from steproute.doctor.finding import Finding, Severity

__all__ = ["Finding", "Severity", "examine"]
