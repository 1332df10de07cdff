"""The chassis: what every service of this system needs and none of them owns."""
