"""Measures of filled images: arithmetic that knows no model of ours and can be read next to the papers.

`fid`, `kid`, `discriminability` (P-IDS, U-IDS) compare sets of Inception features
(`perceptual.inception`); `pixels` (PSNR, SSIM, L1) compares pairs; `diversity` compares several fills of one
hole; `bootstrap` tells how far each figure can be trusted.
"""
