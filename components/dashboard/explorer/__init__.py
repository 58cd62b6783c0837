"""The explorer: an app that asks models and shows what they would recommend."""
