"""Metrics of filled images: arithmetic that needs no model and can be read beside the papers.

`fid`, `kid`, `discriminability` (P-IDS, U-IDS) compare sets of Inception features
(`perceptual.inception`); `pixels` (PSNR, SSIM, L1) compares pairs; `diversity` compares several fills of one
hole; `bootstrap` computes confidence intervals.
"""
