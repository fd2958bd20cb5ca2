// Alerts on the log and on the system topics, as alerts.json lists them, and who hears of them.

@description('Short unique part of names.')
param token string

@description('Region.')
param location string

@description('Tags.')
param tags object

@description('Id of the Log Analytics workspace.')
param logWorkspaceId string

@description('Ids of the system topics.')
param topicIds array

@description('Mail address; empty for none.')
param email string

var alerts = loadJsonContent('../alerts.json')
var receivers = empty(email) ? [] : [
  {
    name: 'mail'
    emailAddress: email
    useCommonAlertSchema: true
  }
]

resource people 'Microsoft.Insights/actionGroups@2023-01-01' = {
  name: 'ag-rollouts-${token}'
  location: 'Global'
  tags: tags
  properties: {
    groupShortName: 'rollouts'
    enabled: true
    emailReceivers: receivers
  }
}

resource onLog 'Microsoft.Insights/scheduledQueryRules@2023-12-01' = [for alert in alerts.log: {
  name: 'rollouts-${alert.name}-${token}'
  location: location
  tags: tags
  kind: 'LogAlert'
  properties: {
    displayName: 'Rollouts: ${alert.name}'
    description: alert.description
    severity: alert.severity
    enabled: true
    scopes: [
      logWorkspaceId
    ]
    evaluationFrequency: alert.frequency
    windowSize: alert.window
    // The tables come with the first line that is logged.
    skipQueryValidation: true
    autoMitigate: true
    criteria: {
      allOf: [
        {
          query: alert.query
          timeAggregation: 'Count'
          operator: alert.operator
          threshold: alert.threshold
          failingPeriods: {
            numberOfEvaluationPeriods: 1
            minFailingPeriodsToAlert: 1
          }
        }
      ]
    }
    actions: {
      actionGroups: [
        people.id
      ]
    }
  }
}]

resource onTopicDeadLetter 'Microsoft.Insights/metricAlerts@2018-03-01' = [for (id, index) in topicIds: {
  name: 'rollouts-${alerts.topic[0].name}-${index}-${token}'
  location: 'global'
  tags: tags
  properties: {
    description: alerts.topic[0].description
    severity: alerts.topic[0].severity
    enabled: true
    scopes: [
      id
    ]
    evaluationFrequency: 'PT5M'
    windowSize: alerts.topic[0].window
    criteria: {
      'odata.type': 'Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria'
      allOf: [
        {
          name: alerts.topic[0].name
          criterionType: 'StaticThresholdCriterion'
          metricName: alerts.topic[0].metric
          operator: 'GreaterThan'
          threshold: alerts.topic[0].threshold
          timeAggregation: 'Total'
        }
      ]
    }
    actions: [
      {
        actionGroupId: people.id
      }
    ]
  }
}]

resource onTopicDropped 'Microsoft.Insights/metricAlerts@2018-03-01' = [for (id, index) in topicIds: {
  name: 'rollouts-${alerts.topic[1].name}-${index}-${token}'
  location: 'global'
  tags: tags
  properties: {
    description: alerts.topic[1].description
    severity: alerts.topic[1].severity
    enabled: true
    scopes: [
      id
    ]
    evaluationFrequency: 'PT5M'
    windowSize: alerts.topic[1].window
    criteria: {
      'odata.type': 'Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria'
      allOf: [
        {
          name: alerts.topic[1].name
          criterionType: 'StaticThresholdCriterion'
          metricName: alerts.topic[1].metric
          operator: 'GreaterThan'
          threshold: alerts.topic[1].threshold
          timeAggregation: 'Total'
        }
      ]
    }
    actions: [
      {
        actionGroupId: people.id
      }
    ]
  }
}]

resource onTopicFailing 'Microsoft.Insights/metricAlerts@2018-03-01' = [for (id, index) in topicIds: {
  name: 'rollouts-${alerts.topic[2].name}-${index}-${token}'
  location: 'global'
  tags: tags
  properties: {
    description: alerts.topic[2].description
    severity: alerts.topic[2].severity
    enabled: true
    scopes: [
      id
    ]
    evaluationFrequency: 'PT5M'
    windowSize: alerts.topic[2].window
    criteria: {
      'odata.type': 'Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria'
      allOf: [
        {
          name: alerts.topic[2].name
          criterionType: 'StaticThresholdCriterion'
          metricName: alerts.topic[2].metric
          operator: 'GreaterThan'
          threshold: alerts.topic[2].threshold
          timeAggregation: 'Total'
        }
      ]
    }
    actions: [
      {
        actionGroupId: people.id
      }
    ]
  }
}]
