"""Bandwidth's Programmable Voice: media messages, transport, BXML, webhooks."""
