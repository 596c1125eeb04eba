/* A study in words, as the model file that `rfmd run` reads, and as a picture of its calibration. */
#ifndef RFM_FIT_REPORT_H
#define RFM_FIT_REPORT_H

#include "study.h"

void rfm_study_report(const rfm_study *study, rfm_buffer *text);
/* `source`: where the purchases are from, for its comment. */
void rfm_study_model_file(const rfm_study *study, const char *source, rfm_buffer *yaml);
/* Of a study with a hold-out: the share that bought over the chance that was predicted, by decile (SVG). */
void rfm_study_plot(const rfm_study *study, rfm_buffer *svg);

#endif
