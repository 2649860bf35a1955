# SPDX-License-Identifier: Apache-2.0
"""What is on the cells and is not as it should be: changed from outside, or nobody's."""
