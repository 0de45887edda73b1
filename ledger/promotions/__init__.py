"""Promo codes and referrals."""
